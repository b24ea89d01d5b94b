"""Files of an outputs folder in, self-contained HTML pages out; trainers and samplers are not imported."""
