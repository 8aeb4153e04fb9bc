"""The average of a jury, as a function of one's own: jury.yaml names this file under `plugins`."""

import prefmill.plugins


@prefmill.plugins.pool
def avg_poll_ratings(poll_ratings):
    """The plain average of what the judges gave; a judge without a usable rating is left out.

    `poll_ratings` holds a list for each judge, with a rating, or None, for each generation.
    """
    averages = []
    for ratings in zip(*poll_ratings, strict=True):
        given = [rating for rating in ratings if rating is not None]
        averages.append(sum(given) / len(given) if given else None)
    return averages
