'use strict';
// Every page works without this script, which makes reading quicker: search, tree, files. writing.js is for the edit form.
// Nodes of two releases may answer in turn, so whatever an older one does not know is asked for again or done without.

/** What both scripts use. */
const afloat = (() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  /** Storage may be full or forbidden; then nothing is remembered. */
  const keep = (area) => ({
    keys(prefix) {
      try {
        return Object.keys(area()).filter((key) => key.startsWith(prefix));
      } catch {
        return [];
      }
    },
    get(key) {
      try {
        return JSON.parse(area().getItem(key));
      } catch {
        return null;
      }
    },
    set(key, value) {
      try {
        area().setItem(key, JSON.stringify(value));
        return true;
      } catch {
        return false;
      }
    },
    remove(key) {
      try {
        area().removeItem(key);
      } catch {
        /* then it was not there either */
      }
    },
  });
  const local = keep(() => localStorage);
  const session = keep(() => sessionStorage);

  /** A piece of a page as text. An answer of 404 may be an older node's and 503 a leaving one's: others are asked. */
  async function fragment(url, options = {}) {
    for (let attempt = 0; ; attempt += 1) {
      const answer = await fetch(url, options).catch(() => null);
      if (answer?.redirected) return null; // signed out: the link itself leads to the sign-in page
      if (answer?.ok) return answer.text();
      if (answer?.status === 400) throw new Error(await answer.text());
      if (options.signal?.aborted || attempt === 3) return null;
      await pause(300 * (attempt + 1));
    }
  }

  /**
   * Titles offered below a field, by REST calls that every release knows. `choose(page)` gets what was chosen; `last`
   * makes an entry after the titles: {text, url}.
   */
  function searchField(input, choose, last) {
    const list = element('ul', { id: `${input.id}-titles`, role: 'listbox', class: 'suggest', 'aria-label': 'Pages' });
    const spoken = element('span', { class: 'hidden', role: 'status' });
    list.hidden = true;
    input.parentElement.append(list, spoken);
    for (const [name, value] of Object.entries({ role: 'combobox', 'aria-autocomplete': 'list', 'aria-expanded': 'false', 'aria-controls': list.id }))
      input.setAttribute(name, value);
    let at = -1;
    let waiting = 0;
    let asked = null;

    const close = () => {
      list.hidden = true;
      at = -1;
      input.setAttribute('aria-expanded', 'false');
      input.removeAttribute('aria-activedescendant');
    };
    const move = (index) => {
      const options = [...list.children];
      at = options.length ? (index + options.length) % options.length : -1;
      options.forEach((option, i) => option.setAttribute('aria-selected', String(i === at)));
      if (at >= 0) {
        input.setAttribute('aria-activedescendant', options[at].id);
        options[at].scrollIntoView({ block: 'nearest' });
      }
    };
    const option = (title, meta, pick) => {
      const made = element('li', { role: 'option', id: `${list.id}-${list.children.length}`, 'aria-selected': 'false' },
        element('span', { class: 'suggest-title' }, title), element('span', { class: 'meta' }, meta));
      made.addEventListener('mousedown', (event) => {
        event.preventDefault();
        if (event.button === 0) pick();
      });
      made.pick = pick;
      list.append(made);
    };
    const show = (words, pages) => {
      list.replaceChildren();
      for (const page of pages) option(page.title, page.space?.name ?? '', () => choose(page));
      const end = last?.(words);
      if (end) option(end.text, '', () => location.assign(end.url));
      at = -1;
      list.hidden = !list.children.length;
      input.setAttribute('aria-expanded', String(!list.hidden));
      spoken.textContent = pages.length ? `${pages.length} titles` : 'No title begins so';
    };
    const ask = async () => {
      const words = input.value.trim();
      asked?.abort();
      if (!words) return close();
      asked = new AbortController();
      const quoted = words.replace(/[*]/g, ' ').trim().replace(/["\\]/g, '\\$&');
      const cql = `type = page and title ~ "${quoted}*"`;
      const { signal } = asked;
      const answer = await fetch(`/rest/api/content/search?limit=8&excerpt=none&expand=space&cql=${encodeURIComponent(cql)}`, { signal, headers: { 'X-Requested-With': 'script' } }).catch(() => null);
      const found = answer?.ok ? await answer.json().catch(() => null) : null;
      // Without titles the field still searches, by Enter.
      if (!signal.aborted && document.activeElement === input) show(words, found?.results ?? []);
    };
    input.addEventListener('input', () => {
      clearTimeout(waiting);
      waiting = setTimeout(ask, 120);
    });
    input.addEventListener('keydown', (event) => {
      if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
        event.preventDefault();
        if (list.hidden) ask();
        else move(event.key === 'ArrowDown' ? at + 1 : at < 0 ? -1 : at - 1);
      } else if (event.key === 'Enter' && !list.hidden && at >= 0) {
        event.preventDefault();
        list.children[at].pick();
      } else if (event.key === 'Escape') {
        // Once closes the list, twice leaves the field.
        if (list.hidden) input.blur();
        event.preventDefault();
        close();
      }
    });
    input.addEventListener('blur', () => setTimeout(close, 150));
  }

  return { $, all, element, local, session, fragment, searchField };
})();

(() => {
  const { $, all, element, local, session, fragment, searchField } = afloat;

  /** The field at the top of every page; "/" leads to it. */
  function siteSearch(input) {
    searchField(input, (page) => location.assign(`/pages/${page.id}`), (words) => ({ text: `Search all texts for “${words}”`, url: `/search?q=${encodeURIComponent(words)}` }));
    document.addEventListener('keydown', (event) => {
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest('input, textarea, select, [contenteditable]')) return;
      event.preventDefault();
      input.focus();
      input.select();
    });
  }

  // ------------------------------------------------------------------------------------------------ tree

  function pageTree(tree) {
    const remembered = `tree:${tree.dataset.space}`;
    const open = new Set(session.get(remembered) ?? []);
    const fresh_ms = 60_000;
    const branchUrl = (id) => `/pages/${id}/children?fragment=1`;

    const fill = (item, html) => {
      const below = element('ul');
      below.innerHTML = html;
      $(':scope > ul', item)?.remove();
      item.append(below);
      enhance(below);
    };
    const load = async (item, html = null) => {
      const id = item.dataset.id;
      const text = html ?? (await fragment(branchUrl(id)));
      if (text === null) return false;
      session.set(`branch:${id}`, { html: text, at: Date.now() });
      fill(item, text);
      return true;
    };
    const mark = (item, button, expanded) => {
      button.setAttribute('aria-expanded', String(expanded));
      const below = $(':scope > ul', item);
      if (below) below.hidden = !expanded;
    };
    const toggle = async (item, button) => {
      const expanded = button.getAttribute('aria-expanded') === 'true';
      if (!expanded && !$(':scope > ul', item)) {
        button.setAttribute('aria-busy', 'true');
        const done = await load(item);
        button.removeAttribute('aria-busy');
        if (!done) return location.assign($(':scope > a', item).href);
      }
      mark(item, button, !expanded);
      if (expanded) open.delete(item.dataset.id);
      else open.add(item.dataset.id);
      session.set(remembered, [...open].slice(-50));
    };

    function enhance(list) {
      for (const item of all('li[data-children]', list)) {
        if ($(':scope > button', item)) continue;
        const link = $(':scope > a', item);
        const button = element('button', { type: 'button', class: 'tree-toggle', 'aria-expanded': 'false', 'aria-label': `Pages below ${link.textContent}` });
        button.addEventListener('click', () => toggle(item, button));
        item.insertBefore(button, link);
        if (!$(':scope > ul', item) && open.has(item.dataset.id)) {
          // What was open before is there at once, as it was; then it is looked up again.
          const known = session.get(`branch:${item.dataset.id}`);
          if (known) fill(item, known.html);
          if (!known || Date.now() - known.at > fresh_ms)
            fragment(branchUrl(item.dataset.id)).then((html) => {
              if (html !== null && html !== known?.html) load(item, html).then(() => mark(item, button, true));
            });
        }
        mark(item, button, Boolean($(':scope > ul', item)));
      }
    }
    enhance(tree);

    tree.addEventListener('click', async (event) => {
      const link = event.target.closest('.tree-more > a');
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      const html = await fragment(`${link.href}&fragment=1`);
      if (html === null) return location.assign(link.href);
      const item = link.parentElement;
      const before = item.previousElementSibling;
      const shown = new Set(all(':scope > li[data-id]', item.parentElement).map((other) => other.dataset.id));
      const more = element('ul');
      more.innerHTML = html;
      for (const other of all(':scope > li', more)) if (!shown.has(other.dataset.id)) item.before(other);
      const list = item.parentElement;
      item.remove();
      enhance(list);
      $('a', before?.nextElementSibling ?? list)?.focus();
    });

    const side = tree.closest('.side');
    if (!side) return;
    const scrolled = session.get(`${remembered}:at`);
    const here = $('[aria-current]', tree);
    if (scrolled !== null) side.scrollTop = scrolled;
    if (here && side.scrollHeight > side.clientHeight) {
      const top = here.getBoundingClientRect().top - side.getBoundingClientRect().top;
      if (top < 0 || top > side.clientHeight - 40) side.scrollTop += top - side.clientHeight / 3;
    }
    addEventListener('pagehide', () => session.set(`${remembered}:at`, side.scrollTop));
  }

  /** On narrow screens the tree is behind a button; without this script the link leads to it. */
  function sideButton(link) {
    const side = $('#af-side');
    const button = element('button', { type: 'button', class: link.className, 'aria-expanded': 'false', 'aria-controls': 'af-side' }, link.textContent);
    link.replaceWith(button);
    button.addEventListener('click', () => {
      const shown = side.classList.toggle('side-shown');
      button.setAttribute('aria-expanded', String(shown));
    });
  }

  /** Times as they are here; what the page had, and where it is exact, shows when one points at it. */
  function localTime(time) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) return;
    time.title = time.textContent;
    time.textContent = at.toLocaleString([], { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' });
  }

  /** What was looked for, in titles and excerpts, in its usual English forms; a star stands for any ending. */
  function markWords(results, query) {
    const words = query.match(/[\p{L}\p{N}]{2,}\*?/gu) ?? [];
    // Little words are everywhere.
    const long = words.filter((word) => word.length > 3);
    const forms = (long.length ? long : words).map((word) =>
      word.endsWith('*') ? `${word.slice(0, -1)}[\\p{L}\\p{N}]*` : `${word.length > 4 ? word.replace(/(ing|ed|es|s|e)$/i, '') : word}(?:ing|e?[sd]|e)?`,
    );
    if (!forms.length) return;
    const found = new RegExp(`(?<![\\p{L}\\p{N}])(?:${forms.join('|')})(?![\\p{L}\\p{N}])`, 'giu');
    for (const part of all('li > a, li > p', results)) {
      const text = part.textContent;
      const pieces = [];
      let end = 0;
      for (const match of text.matchAll(found)) {
        pieces.push(text.slice(end, match.index), element('mark', {}, match[0]));
        end = match.index + match[0].length;
      }
      part.replaceChildren(...pieces, text.slice(end));
    }
  }

  /** Code and tables that are wider than the page can be scrolled with the keyboard, too. */
  function wideParts(article) {
    new ResizeObserver(() => {
      for (const part of all('pre, table', article)) {
        if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
        else part.removeAttribute('tabindex');
      }
    }).observe(article);
  }

  // ------------------------------------------------------------------------------------------------ labels and files

  function fold(details) {
    $('summary', details).addEventListener('click', () => {
      if (!details.open) setTimeout(() => $('input:not([type=hidden])', details)?.focus());
    });
    details.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || !details.open) return;
      details.open = false;
      $('summary', details).focus();
    });
  }

  function uploadForm(form) {
    const files = $('input[type=file]', form);
    const fault = $('.fault', form);
    const button = $('button', form);
    const check = () => {
      const size = [...files.files].reduce((sum, file) => sum + file.size, 0);
      const tooLarge = size > Number(form.dataset.limit) - 100_000;
      fault.textContent = tooLarge ? `These files have ${(size / 1e6).toFixed(1)} MB together; the limit is ${form.dataset.limitText}. Choose smaller ones, or upload them one by one.` : '';
      return !tooLarge;
    };
    files.addEventListener('change', check);
    form.addEventListener('submit', (event) => {
      if (!check()) return event.preventDefault();
      button.textContent = 'Uploading…';
      button.setAttribute('aria-disabled', 'true');
    });
  }

  // ------------------------------------------------------------------------------------------------ saved

  /** The page that a form has led to: what this browser kept of it has been saved. */
  function forgetSaved() {
    if (!$('article.wiki') || $('#af-edit') || !document.referrer) return;
    const from = new URL(document.referrer);
    if (from.origin !== location.origin) return;
    for (const key of local.keys('draft:')) if (local.get(key)?.submitted === from.pathname) local.remove(key);
  }

  // ------------------------------------------------------------------------------------------------ start

  // What can be scrolled sideways can be so by the keyboard, too.
  const reachable = () => {
    for (const wide of all('.wiki pre, .wiki table')) {
      if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
      else wide.removeAttribute('tabindex');
    }
  };
  reachable();
  addEventListener('resize', reachable);
  const field = $('#af-q');
  if (field) siteSearch(field);
  all('ul.tree').forEach(pageTree);
  const open = $('.side-open');
  if (open) sideButton(open);
  // A date alone is the same everywhere; as a moment it would be the day before in the west.
  all('time[datetime*="T"]').forEach(localTime);
  const results = $('ol.results');
  if (results) markWords(results, $('#af-search')?.value ?? '');
  all('.wiki').forEach(wideParts);
  all('details.pop').forEach(fold);
  all('form.upload').forEach(uploadForm);
  forgetSaved();
})();
