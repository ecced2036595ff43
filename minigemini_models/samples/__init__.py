"""Conversations about synthetic scenes, one module per skill.

`turns` has the templates of all questions. `descriptions`, `object_qa`, `ocr_qa` and `unanswerable` make the turns of
ordinary conversations, which `conversations` assembles. `object_lists`, `attribute_lookup`, `spatial_relations` and
`image_pairs` teach looking up objects by name. `image_plans`, `request_phrases`, `plan_edits` and `image_requests` make
requests for images. `dialogs` samples whole conversations from seeds, and `dataset` serves them as training data.
`lessons` has what nano learns, by skill.
"""
