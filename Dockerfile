# One image for both processes; there is no build step, since Node runs the TypeScript as it is.
#   docker build -t sealpost .
#   docker run sealpost apps/api/src/main.ts
#   docker run sealpost apps/worker/src/main.ts
# Neither writes to the file system: add --read-only.

FROM node:26-slim AS dependencies
WORKDIR /app
# Only what decides about the dependencies, so that a change of code leaves this layer cached.
COPY package.json package-lock.json ./
COPY apps/api/package.json apps/api/
COPY apps/worker/package.json apps/worker/
COPY packages/client/package.json packages/client/
COPY packages/configuration/package.json packages/configuration/
COPY packages/core/package.json packages/core/
COPY packages/processes/package.json packages/processes/
COPY packages/queue/package.json packages/queue/
COPY packages/sandbox/package.json packages/sandbox/
COPY packages/store/package.json packages/store/
COPY packages/telemetry/package.json packages/telemetry/
COPY scripts/package.json scripts/
COPY test/package.json test/
COPY bench/package.json bench/
# Without the dev dependencies there is no `node` package: the image's own Node runs everything.
# The compiler comes along as an optional peer of a dependency, and is a third of all there is.
RUN npm install --omit=dev --no-audit --no-fund --workspace=apps/api --workspace=apps/worker \
    && rm -rf node_modules/typescript node_modules/@typescript

FROM node:26-slim
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    UV_THREADPOOL_SIZE=64
WORKDIR /app
COPY --from=dependencies /app ./
COPY LICENSE ./
COPY packages packages
COPY apps apps
# `node`, as a number: Kubernetes' runAsNonRoot reads no names.
USER 1000:1000
EXPOSE 8080 8081
# Whichever of the two runs here. docker-compose.yml and Kubernetes ask the one that they mean.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["node", "-e", "\
  const ports = [process.env.PORT || 8080, process.env.HEALTH_PORT || 8081]; \
  const ready = (port) => fetch(`http://127.0.0.1:${port}/readyz`).then((r) => r.ok || Promise.reject()); \
  Promise.any(ports.map(ready)).then(() => process.exit(0), () => process.exit(1))"]
# Node itself is process 1 and gets the SIGTERM on which it drains: leave it 30 s.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node"]
CMD ["apps/api/src/main.ts"]
