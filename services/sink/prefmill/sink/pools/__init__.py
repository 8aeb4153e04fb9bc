"""Pools: several ratings of one text become its score.

Comes in: a matrix of ratings, raters × generations, None where a rater gave none. Goes out: one
score per generation, None where nobody rated it. Never does: know who the raters are, or what a
dataset needs.
"""
