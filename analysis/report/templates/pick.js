// Two lists in place of the list of all comparisons; without this script the list stays.
(() => {
  const form = document.querySelector('.pick');
  if (!form) return;
  const [a, b] = form.querySelectorAll('select');
  const links = [...document.querySelectorAll('.pairs a')];
  const said = form.querySelector('[role=status]');
  const tell = () => {
    const here = (one, other) => links.find((link) => link.dataset.a === one && link.dataset.b === other);
    const found = here(a.value, b.value) || here(b.value, a.value);
    if (found) said.replaceChildren(found.cloneNode(true));
    else said.textContent = a.value === b.value ? 'Choose two.' : `There is none here. make compare A=results/${a.value} B=results/${b.value} makes it.`;
  };
  if (links.length) [a.value, b.value] = [links[0].dataset.a, links[0].dataset.b];
  form.addEventListener('change', tell);
  form.hidden = false;
  form.parentNode.querySelector('details').open = false;
  tell();
})();
