"""What nano learns about scenes, one module per skill, each with the samplers of its lessons.

A sampler returns the lesson of a number; the same number always gives the same lesson. In every skill of looking things
up by name, lists come before questions (`samples.attribute_lookup`).
"""
