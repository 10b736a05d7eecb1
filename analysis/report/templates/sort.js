// Tables become sortable: a button in each heading sorts up, down, and back to the order of the report.
(() => {
  const value = (cell) => {
    const text = (cell.firstChild ? cell.firstChild.textContent : '').trim();
    const found = text.replace(/\u2212/g, '-').replace(/,(?=\d{3})/g, '').match(/^[+-]?\d+(\.\d+)?/);
    return { text, number: found ? parseFloat(found[0]) : NaN };
  };
  const order = (a, b) => {
    if (!isNaN(a.number) && !isNaN(b.number)) return a.number - b.number;
    if (isNaN(a.number) !== isNaN(b.number)) return isNaN(a.number) ? 1 : -1;
    return a.text.localeCompare(b.text);
  };
  for (const table of document.querySelectorAll('table')) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    if (rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener('click', () => {
        const next = { ascending: 'descending', descending: null }[heading.getAttribute('aria-sort')];
        const wanted = next === undefined ? 'ascending' : next;
        for (const each of table.tHead.rows[0].cells) each.removeAttribute('aria-sort');
        if (wanted) heading.setAttribute('aria-sort', wanted);
        const sign = wanted === 'descending' ? -1 : 1;
        const sorted = wanted ? rows.map((row) => [value(row.cells[column]), row])
          .sort(([a], [b]) => (isNaN(a.number) === isNaN(b.number) ? sign : 1) * order(a, b)).map(([, row]) => row) : rows;
        body.append(...sorted);
      });
    });
  }
})();
