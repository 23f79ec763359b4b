/** The log-in form. `problem` is text of ours. */
export function loginPage(problem?: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Sealpost: log in</title>
<link rel="stylesheet" href="/admin/login.css"></head><body><main><h1>Sealpost</h1>
<form method="post" action="/admin/login">
<label for="key">An operator's API key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
${problem ? `<p role="alert">${problem}</p>` : ''}
<button>Log in</button></form></main></body></html>`;
}

export const LOGIN_CSS = `
:root { color-scheme: light dark; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; font: 16px/1.5 system-ui, sans-serif; }
main { width: min(22rem, 90vw); } form { display: grid; gap: .75rem; }
input, button { font: inherit; padding: .6rem .75rem; border-radius: 6px; border: 1px solid #8888; }
button { background: light-dark(#0b57d0, #8ab4f8); color: light-dark(#fff, #000); border: 0; cursor: pointer; }
[role=alert] { margin: 0; color: light-dark(#b3261e, #f2b8b5); }
`;
