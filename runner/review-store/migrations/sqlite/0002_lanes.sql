-- Version 2: by which lane an item came, and whether it was drawn as a control row.

ALTER TABLE items ADD COLUMN lane TEXT;
ALTER TABLE items ADD COLUMN control INTEGER NOT NULL DEFAULT 0 CHECK (control IN (0, 1));
