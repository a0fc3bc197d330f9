-- Longer windows that must be added up (again), and the view that adds up the parts of a window.
CREATE TABLE due_windows (
    kind text NOT NULL,
    dimension text NOT NULL,
    size bigint NOT NULL,
    ts timestamptz NOT NULL,
    PRIMARY KEY (kind, dimension, size, ts)
);
COMMENT ON TABLE due_windows IS '待汇总窗口 / Longer windows whose shorter ones changed since they were added up';
COMMENT ON COLUMN due_windows.kind IS '数据类别 / Kind of the readings';
COMMENT ON COLUMN due_windows.dimension IS '维度 / What the subjects are';
COMMENT ON COLUMN due_windows.size IS '窗口长度 / Length of the longer window [s]';
COMMENT ON COLUMN due_windows.ts IS '开始时间 / Its start';

CREATE VIEW whole_windows AS
SELECT kind, metric, size, dimension, source, ts,
       sum("count")::bigint AS "count", sum(total) / sum("count") AS mean, min(low) AS low, max(high) AS high,
       (array_agg(last ORDER BY last_at DESC, last DESC))[1] AS last, bool_or(part >= 32768) AS corrected
FROM windows
GROUP BY kind, metric, size, dimension, source, ts;
COMMENT ON VIEW whole_windows IS '时间窗口统计（合并分片）/ Windows with their parts added up';

-- Keys and conditions of checkpoints are bytes that no compression makes smaller.
ALTER TABLE checkpoint_state ALTER COLUMN value SET STORAGE EXTERNAL;
