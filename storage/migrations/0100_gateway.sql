-- People who use the dashboard, their sessions, and the audit of what they did.

CREATE TABLE users (
    name text PRIMARY KEY,
    password text NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'duty', 'engineer', 'admin')),
    disabled boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);
COMMENT ON TABLE users IS '用户 / People who may log in';
COMMENT ON COLUMN users.name IS '用户名 / Log-in name';
COMMENT ON COLUMN users.password IS '口令摘要 / Argon2id hash of the password, with its salt and parameters';
COMMENT ON COLUMN users.role IS '角色 / viewer, duty, engineer or admin; each may do what those before it may';
COMMENT ON COLUMN users.disabled IS '停用 / A disabled user cannot log in and has no open session';
COMMENT ON COLUMN users.created_at IS '创建时间 / When the account was made';
COMMENT ON COLUMN users.changed_at IS '修改时间 / When role, password or disabled last changed';

CREATE TABLE sessions (
    id bytea PRIMARY KEY,
    name text NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    address text NOT NULL
);
COMMENT ON TABLE sessions IS '登录会话 / Log-ins that have not ended';
COMMENT ON COLUMN sessions.id IS '会话摘要 / SHA-256 of the token in the cookie; the token itself is stored nowhere';
COMMENT ON COLUMN sessions.name IS '用户名 / Whose session it is';
COMMENT ON COLUMN sessions.created_at IS '登录时间 / When the person logged in';
COMMENT ON COLUMN sessions.seen_at IS '最近活动 / Last use, to the minute; a session idle for 30 minutes ends';
COMMENT ON COLUMN sessions.expires_at IS '失效时间 / When the session ends however much it is used';
COMMENT ON COLUMN sessions.address IS '来源地址 / Network address the log-in came from';
CREATE INDEX sessions_name ON sessions (name);

CREATE TABLE login_failures (
    name text PRIMARY KEY,
    failures integer NOT NULL,
    last_at timestamptz NOT NULL,
    locked_until timestamptz
);
COMMENT ON TABLE login_failures IS '登录失败 / Failed log-ins by name; names of no account count too, so that nobody learns which exist';
COMMENT ON COLUMN login_failures.name IS '用户名 / Name that was tried';
COMMENT ON COLUMN login_failures.failures IS '次数 / Attempts since the last success, the running one included';
COMMENT ON COLUMN login_failures.last_at IS '最近一次 / Time of the last attempt';
COMMENT ON COLUMN login_failures.locked_until IS '锁定至 / No attempt is looked at before; absent means not locked';

CREATE TABLE gateway_keys (
    name text PRIMARY KEY,
    key bytea NOT NULL,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE gateway_keys IS '签名密钥 / Keys the gateway made for itself at its first start';
COMMENT ON COLUMN gateway_keys.name IS '用途 / What the key signs';
COMMENT ON COLUMN gateway_keys.key IS '密钥 / Random bytes';
COMMENT ON COLUMN gateway_keys.created_at IS '创建时间 / When the key was made';

CREATE TABLE audit (
    id bigint PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    result text NOT NULL,
    address text NOT NULL,
    hash bytea NOT NULL
);
COMMENT ON TABLE audit IS '审计日志 / Who did what, when, from where, with what result; rows are only ever added';
COMMENT ON COLUMN audit.id IS '序号 / 1, 2, 3 ... without gaps, so that a missing row shows';
COMMENT ON COLUMN audit.at IS '时间 / When it was done';
COMMENT ON COLUMN audit.actor IS '操作人 / Log-in name; for a failed log-in the name that was tried';
COMMENT ON COLUMN audit.action IS '操作 / What was done, as in user.create';
COMMENT ON COLUMN audit.object IS '对象 / What it was done to';
COMMENT ON COLUMN audit.result IS '结果 / ok, or why not';
COMMENT ON COLUMN audit.address IS '来源地址 / Network address the request came from';
COMMENT ON COLUMN audit.hash IS '链式摘要 / SHA-256 of the hash before and this row: changing, removing or reordering rows shows';
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_actor ON audit (actor, at);
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION cityops_append_only();
