# The image of every Airflow service in docker-compose.yaml: Airflow, our requirements, our code, nothing else.
#
# The slim base holds Airflow and no provider but the preinstalled ones, so that requirements.txt decides every
# version. The full base brings dozens of providers more, whose pins contradict ours.
FROM apache/airflow:slim-3.3.2-python3.12

# Every command of Airflow would warn that it cannot draw DAGs, and of a name of pathspec that Airflow still uses.
ENV PYTHONWARNINGS="ignore:Could not import graphviz,ignore:GitWildMatchPattern"

COPY requirements.txt /opt/crmbet/requirements.txt
# A package whose file is not the one that was tested is refused.
RUN pip install --no-cache-dir --require-hashes --requirement /opt/crmbet/requirements.txt \
    && pip check

# Code belongs to root: what runs in a task cannot change it.
COPY dags /opt/airflow/dags
COPY plugins /opt/airflow/plugins
COPY include /opt/airflow/include
COPY config /opt/airflow/config
COPY run_pipeline.py /opt/airflow/run_pipeline.py
# The monitoring page shows the runbook.
COPY docs /opt/airflow/docs

# Compiled here, because the user below may not: otherwise every task process would compile the package anew.
# The spill folder belongs to that user, and so does a fresh volume mounted on it.
USER 0
RUN python -m compileall -q /opt/airflow/dags /opt/airflow/plugins /opt/airflow/config \
    && install --directory --owner=airflow --group=root --mode=0770 /opt/airflow/spill
USER 50000:0
