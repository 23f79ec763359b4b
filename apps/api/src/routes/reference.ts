import { z } from 'zod';
import { DOCS_CSS, docsPage } from '../http/docs-page.ts';
import { openApiDocument } from '../http/openapi.ts';
import { defineRoute, type Route } from '../http/route.ts';

const OPEN = { open: 'It is the same for every installation of this version, and holds no data.' };
const TAG = 'Reference';
/** The page has no script, and loads nothing from elsewhere. */
const CSP =
  "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** `/openapi.json` and `/docs`, made once from all routes, these included. */
export function referenceRoutes(others: Route[], version: string): Route[] {
  const routes: Route[] = [
    defineRoute({
      method: 'get',
      path: '/openapi.json',
      tag: TAG,
      summary: 'This API as an OpenAPI 3.1 document',
      access: OPEN,
      answers: { 200: { description: 'The document.', schema: z.record(z.string(), z.unknown()) } },
      handle: async () => ({ status: 200, json }),
    }),
    defineRoute({
      method: 'get',
      path: '/docs',
      tag: TAG,
      summary: 'This API as a page',
      access: OPEN,
      answers: { 200: { description: 'The page.' } },
      handle: async () => ({ status: 200, headers: { 'content-security-policy': CSP }, html }),
    }),
    defineRoute({
      method: 'get',
      path: '/docs/style.css',
      tag: TAG,
      summary: 'Its stylesheet',
      access: OPEN,
      answers: { 200: { description: 'The stylesheet.' } },
      handle: async ({ response }) => {
        response.type('css').end(DOCS_CSS);
        return { status: 200 };
      },
    }),
  ];
  const document = openApiDocument([...others, ...routes], version);
  const json = JSON.stringify(document);
  const html = docsPage(document);
  return routes;
}
