-- Version 3: what a control row stands for, and the right label of a gold row.

ALTER TABLE items ADD COLUMN stratum TEXT;
ALTER TABLE items ADD COLUMN drawn_from INTEGER;
ALTER TABLE items ADD COLUMN lane_rows INTEGER;
ALTER TABLE items ADD COLUMN gold TEXT;
