-- Reference layers: every import is a version that never changes; which one is used, and since when, is kept apart.
CREATE TABLE layer_versions (
    layer text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    hash text NOT NULL,
    name text NOT NULL,
    note text NOT NULL,
    features integer NOT NULL,
    imported_at timestamptz NOT NULL,
    PRIMARY KEY (layer, version),
    UNIQUE (layer, hash)
);
COMMENT ON TABLE layer_versions IS '参考图层版本 / Versions of the reference layers';
COMMENT ON COLUMN layer_versions.layer IS '图层 / Layer: zones, roads, bus_lines, bus_stops, pipes, geofences or sources';
COMMENT ON COLUMN layer_versions.version IS '版本 / Number of the version, from 1';
COMMENT ON COLUMN layer_versions.hash IS '内容摘要 / SHA-256 of its content';
COMMENT ON COLUMN layer_versions.name IS '名称 / Name, by default the file it came from';
COMMENT ON COLUMN layer_versions.note IS '备注 / Note of whoever imported it';
COMMENT ON COLUMN layer_versions.features IS '要素数 / How many features it has';
COMMENT ON COLUMN layer_versions.imported_at IS '导入时间 / When it was imported';

CREATE TABLE layer_features (
    layer text NOT NULL,
    version integer NOT NULL,
    id text NOT NULL,
    attributes jsonb NOT NULL,
    geometry bytea,
    PRIMARY KEY (layer, version, id),
    FOREIGN KEY (layer, version) REFERENCES layer_versions
);
COMMENT ON TABLE layer_features IS '参考图层要素 / Features of the reference layers, append-only';
COMMENT ON COLUMN layer_features.layer IS '图层 / Layer';
COMMENT ON COLUMN layer_features.version IS '版本 / Version of the layer';
COMMENT ON COLUMN layer_features.id IS '编号 / Zone code, line, fence or source';
COMMENT ON COLUMN layer_features.attributes IS '属性 / Its columns';
COMMENT ON COLUMN layer_features.geometry IS '几何 / Shape as WKB, WGS-84';
CREATE TRIGGER layer_features_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON layer_features
    FOR EACH STATEMENT EXECUTE FUNCTION cityops_append_only();

CREATE TABLE layer_uses (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    layer text NOT NULL,
    version integer,
    active_from timestamptz NOT NULL,
    active_to timestamptz,
    FOREIGN KEY (layer, version) REFERENCES layer_versions
);
COMMENT ON TABLE layer_uses IS '参考图层启用记录 / Which version of a layer was in use, and when';
COMMENT ON COLUMN layer_uses.number IS '序号 / Grows with every change: the newest tells workers that something changed';
COMMENT ON COLUMN layer_uses.layer IS '图层 / Layer';
COMMENT ON COLUMN layer_uses.version IS '版本 / Version in use, absent for none: the default';
COMMENT ON COLUMN layer_uses.active_from IS '启用时间 / When it came into use';
COMMENT ON COLUMN layer_uses.active_to IS '停用时间 / When another took its place, absent while it is in use';
CREATE UNIQUE INDEX layer_uses_present ON layer_uses (layer) WHERE active_to IS NULL;
