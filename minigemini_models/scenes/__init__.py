"""The drawn world: from a seed to a picture, its dense labels and a conversation about it.

Read it in this order:

1. What there is: `concepts` (names), `drawings` and `icons` (how they look), `colours`, `lexicon` (what is written),
   `fonts`; `material` says which of it training sees and which only evaluation does.
2. A scene: `scene` holds and draws it, `composing` makes those of 256 pixels and `pages` those of 512, with `layouts`
   and `lettering`.
3. Dense labels for the encoders: `labels`, `samples`, `lettered_crops`.
4. Words about it: `describing`; questions in their wordings (`turns`), by what they are about (`asking`, `reading`,
   `unanswerable`); `conversation` puts them together, and `lessons` hands them out, also about two pictures.
5. Pictures in return: `painting` makes a plan of a few things, its caption and a scene of it; `wishes` puts plans into
   everyday words, and `requesting` makes lessons of them.
"""
