-- Adding up a long window of very many sources takes minutes, during which nobody may wait for it: a change since then is told by the version.
ALTER TABLE due_windows ADD COLUMN version bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN due_windows.version IS '版本 / Grows with every change of the shorter windows';
