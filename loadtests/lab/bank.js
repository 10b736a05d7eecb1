// The application's own page: signs in, and keeps what it was given where `?keep=` says. It runs before any injection.
(() => {
  const keep = new URLSearchParams(location.search).get('keep');
  let kept = null;  // nothing outside this function can name it
  let change = {};
  const places = {
    'localStorage': [token => { localStorage.setItem('token', token); }, () => localStorage.getItem('token')],
    'sessionStorage': [token => { sessionStorage.setItem('token', token); }, () => sessionStorage.getItem('token')],
    'global variable': [token => { window.token = token; }, () => window.token],
    'closure variable': [token => { kept = token; }, () => kept],
    'script cookie': [
      token => { document.cookie = `token=${token}; Path=/; Secure; SameSite=Strict`; },
      () => document.cookie.replace(/.*\btoken=([^;]*).*/, '$1'),
    ],
  };
  const credential = () => keep in places ? {'Authorization': `Bearer ${places[keep][1]()}`} : {};
  const take = wanted => {
    if (wanted && wanted.access_token) places[keep][0](wanted.access_token);
    if (wanted && wanted.csrf_token) change = {[wanted.csrf_header]: wanted.csrf_token};
  };
  const ask = async (method, path, headers, fields) => {
    const json = {'Content-Type': 'application/json'};
    const answer = await fetch(path, fields
      ? {method, headers: {...json, ...headers}, body: JSON.stringify(fields)} : {method, headers});
    const told = await answer.json();
    take(told.credential);
    return answer.status;
  };
  const onClick = (id, work) => document.getElementById(id).addEventListener('click', async () => {
    const detail = await work().catch(String);
    document.dispatchEvent(new CustomEvent('settled', {detail}));
  });
  addEventListener('DOMContentLoaded', () => {
    const user = new URLSearchParams(location.hash.slice(1));
    onClick('sign-in', () => ask('POST', '/login', {}, {username: user.get('name'), password: user.get('password')}));
    onClick('refresh', () => ask('GET', '/me', credential()));
    onClick('save', () => ask('POST', `/profile?attempt=${user.get('attempt')}`, {...credential(), ...change},
      {display_name: 'changed by the page itself'}));
  });
})();
