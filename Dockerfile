# One image for every service; its arguments say which: docker run clickstream services.consumer run
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
COPY requirements.lock /
RUN python -m venv --without-pip /venv \
    && python -m pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: --requirement /requirements.lock
COPY services /app/services
# The root filesystem may be read-only, so that nothing could be compiled later.
RUN /venv/bin/python -m compileall -q -j 0 /venv/lib /app

FROM ${PYTHON_IMAGE}
# What only installs other things has no place where nothing is installed.
RUN python -c "import pathlib, shutil, pip, ensurepip; [shutil.rmtree(pathlib.Path(m.__file__).parent) for m in (pip, ensurepip)]" \
    && rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip-*
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
ENTRYPOINT ["python", "-m"]
CMD ["services"]
