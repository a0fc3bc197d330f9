-- The password of Grafana's account, from the environment of the one-shot service that runs this.
\getenv password READER_PASSWORD
ALTER ROLE cityops_reader PASSWORD :'password';
