import { type Keyring, SealpostError } from '@sealpost/core';
import type { Shards } from '@sealpost/queue';
import type { Logger } from '@sealpost/telemetry';
import express, { type NextFunction, type Request, type Response, type Router } from 'express';
import type { Authenticator } from '../http/authenticate.ts';
import { sendProblem } from '../http/problem.ts';
import { networkOf } from '../http/wrong-keys.ts';
import { LockOut } from './lock-out.ts';
import { LOGIN_CSS, loginPage } from './login-page.ts';
import { queuesBoard } from './queues-board.ts';
import { hasSession, noSessionCookie, sessionCookie } from './session.ts';

export const ADMIN_PATH = '/admin';
const LOGIN = `${ADMIN_PATH}/login`;
const BOARD = `${ADMIN_PATH}/queues`;
/** Bull Board's page names a font of another host, which is not loaded; its styles are partly inline. */
const CSP =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; " +
  "base-uri 'self'; form-action 'self'; frame-ancestors 'none'";

type Options = {
  keyring: Keyring;
  shards: Shards;
  authenticator: Authenticator;
  writable: boolean;
  logger: Logger;
};

/** What operators see in a browser: a log-in, and Bull Board behind it. */
export function adminRouter({ keyring, shards, authenticator, writable, logger }: Options): Router {
  const router = express.Router();
  const lockOut = new LockOut();
  router.use((_request, response, next) => {
    response.setHeader('content-security-policy', CSP);
    next();
  });
  router.use((request, response, next) => {
    if (isSafe(request) || hasBearer(request) || isSameOrigin(request)) next();
    else
      sendProblem(logger, request, response, new SealpostError('forbidden', 'This came from another site.'));
  });

  router.get('/login.css', (_request, response) => response.type('css').end(LOGIN_CSS));
  router.get('/login', (_request, response) => response.type('html').end(loginPage()));
  router.post('/login', express.urlencoded({ extended: false, limit: '4kb' }), (request, response) => {
    const address = networkOf(request.socket.remoteAddress ?? '');
    const wait = lockOut.waitSeconds(address);
    if (wait > 0) {
      const minutes = Math.ceil(wait / 60);
      response.status(429).setHeader('retry-after', String(wait));
      return response.type('html').end(loginPage(`Too many wrong keys. Try again in ${minutes} minutes.`));
    }
    const key: unknown = (request.body as { key?: unknown } | undefined)?.key;
    if (typeof key !== 'string' || !authenticator.isOperator(key)) {
      lockOut.failed(address);
      logger.warn({ address }, 'a log-in failed');
      return response.status(401).type('html').end(loginPage('This is not an operator’s key.'));
    }
    lockOut.succeeded(address);
    response.setHeader(
      'set-cookie',
      sessionCookie(keyring, keyring.hashApiKey(key), Date.now(), isSecure(request)),
    );
    return response.redirect(303, BOARD);
  });
  router.post('/logout', (_request, response) => {
    response.setHeader('set-cookie', noSessionCookie());
    response.redirect(303, LOGIN);
  });

  router.use((request, response, next) =>
    requireOperator(keyring, authenticator, logger, request, response, next),
  );
  router.get('/', (_request, response) => response.redirect(BOARD));
  router.use('/queues', ...queuesBoard(shards, BOARD, writable));
  return router;
}

async function requireOperator(
  keyring: Keyring,
  authenticator: Authenticator,
  logger: Logger,
  request: Request,
  response: Response,
  next: NextFunction,
): Promise<void> {
  const { authorization = '', cookie } = request.headers;
  const bears = hasBearer(request);
  const permitted = bears
    ? await authenticator.bearsOperatorsKey(authorization, request.socket.remoteAddress)
    : hasSession(keyring, authenticator.operators, cookie, Date.now());
  if (permitted) next();
  else if (!bears && isPage(request)) response.redirect(303, LOGIN);
  else sendProblem(logger, request, response, new SealpostError('unauthorized', `Log in at ${LOGIN}.`));
}

/** TLS ends at a proxy that we do not ask; the browser's own word on the page's origin serves as well. */
function isSecure(request: Request): boolean {
  return request.secure || /^https:/.test(request.headers.origin ?? '');
}

function isSafe({ method }: Request): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS';
}

function hasBearer({ headers }: Request): boolean {
  return /^Bearer /i.test(headers.authorization ?? '');
}

/** A browser says where a request comes from; a form of another site cannot pretend to be ours. */
function isSameOrigin({ headers }: Request): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin';
  if (headers.origin === undefined) return false;
  return URL.canParse(headers.origin) && new URL(headers.origin).host === headers.host;
}

/** A browser that opens a page asks for HTML by name; scripts do not. */
function isPage(request: Request): boolean {
  return isSafe(request) && (request.headers.accept ?? '').includes('text/html');
}
