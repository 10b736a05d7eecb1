// What a page of another origin can try against the application at `target`; each answers what the page itself got to know.
const FIELDS = {display_name: 'changed by another origin'};
const read = async answer => `read: ${(await answer).status}`;
const attempts = {
  'form': url => {
    const form = Object.assign(document.createElement('form'), {method: 'POST', action: url});
    for (const [name, value] of Object.entries(FIELDS)) {
      form.append(Object.assign(document.createElement('input'), {type: 'hidden', name, value}));
    }
    document.body.append(form);
    setTimeout(() => form.submit());
    return 'left the page';
  },
  'no-cors fetch': url => fetch(url, {
    method: 'POST', mode: 'no-cors', credentials: 'include', body: new URLSearchParams(FIELDS),
  }).then(answer => `${answer.type}: nothing to read`),
  'cors fetch': url => read(fetch(url, {
    method: 'POST', mode: 'cors', credentials: 'include', body: new URLSearchParams(FIELDS),
  })),
  'JSON fetch': url => read(fetch(url, {
    method: 'POST', mode: 'cors', credentials: 'include', headers: {'Content-Type': 'application/json'},
    body: JSON.stringify(FIELDS),
  })),
  'image': url => new Promise(done => {
    const image = new Image();
    image.onload = image.onerror = () => done('nothing to read');
    image.src = url;
  }),
  'navigation': url => {
    setTimeout(() => { location.href = url; });
    return 'left the page';
  },
};
window.attack = async (kind, url) => {
  try {
    return await attempts[kind](url);
  } catch (error) {
    return `blocked: ${error.message}`;
  }
};
