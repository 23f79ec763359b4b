#!/bin/sh
# Writes .env for docker compose: .env.example with every key made for it. Never touches one that is there.
set -eu
cd "$(dirname "$0")/.."

if [ -e .env ]; then
  echo ".env is there already and is left as it is: what Redis holds can be read with its keys alone." >&2
  exit 1
fi
umask 077
master=$(openssl rand -base64 32)
sed -e "s|^REDIS_PASSWORD=.*|REDIS_PASSWORD=$(openssl rand -hex 24)|" \
  -e "s|^SEALPOST_MASTER_KEY=.*|SEALPOST_MASTER_KEY=$master|" \
  -e "s|^SEALPOST_API_KEYS=.*|SEALPOST_API_KEYS=sk_$(openssl rand -hex 24)|" \
  -e "s|^SEALPOST_METRICS_KEY=.*|SEALPOST_METRICS_KEY=sk_$(openssl rand -hex 24)|" \
  -e "s|^GRAFANA_ADMIN_PASSWORD=.*|GRAFANA_ADMIN_PASSWORD=$(openssl rand -hex 12)|" \
  .env.example > .env.new
mv .env.new .env
echo "Written: .env, with the operator's key in SEALPOST_API_KEYS. Keep a copy of it somewhere safe."
