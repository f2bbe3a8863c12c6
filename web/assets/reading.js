'use strict';
// Every page works without this script. It makes reading quicker (tree, search) and keeps what is being written.
// Nodes of two releases may answer in turn, so whatever an older one does not know is asked for again or done without.
(() => {
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

  // ------------------------------------------------------------------------------------------------ search

  function searchField(input) {
    const form = input.form;
    const list = element('ul', { id: 'af-found-titles', role: 'listbox', class: 'suggest', 'aria-label': 'Pages' });
    const spoken = element('span', { class: 'hidden', role: 'status' });
    list.hidden = true;
    form.append(list, spoken);
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
    const choose = (index) => {
      const options = [...list.children];
      at = options.length ? (index + options.length) % options.length : -1;
      options.forEach((option, i) => option.setAttribute('aria-selected', String(i === at)));
      if (at >= 0) {
        input.setAttribute('aria-activedescendant', options[at].id);
        options[at].scrollIntoView({ block: 'nearest' });
      }
    };
    const option = (url, title, meta) =>
      element('li', { role: 'option', id: `af-title-${list.children.length}`, 'aria-selected': 'false', 'data-url': url },
        element('span', { class: 'suggest-title' }, title), element('span', { class: 'meta' }, meta));
    const show = (words, pages) => {
      list.replaceChildren();
      for (const page of pages) list.append(option(`/pages/${page.id}`, page.title, page.space?.name ?? ''));
      list.append(option(`/search?q=${encodeURIComponent(words)}`, `Search all texts for “${words}”`, ''));
      at = -1;
      list.hidden = false;
      input.setAttribute('aria-expanded', 'true');
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
        else choose(event.key === 'ArrowDown' ? at + 1 : at < 0 ? -1 : at - 1);
      } else if (event.key === 'Enter' && !list.hidden && at >= 0) {
        event.preventDefault();
        location.assign(list.children[at].dataset.url);
      } else if (event.key === 'Escape') {
        // Once closes the list, twice leaves the field.
        if (list.hidden) input.blur();
        event.preventDefault();
        close();
      }
    });
    input.addEventListener('blur', () => setTimeout(close, 150));
    list.addEventListener('mousedown', (event) => {
      event.preventDefault();
      const chosen = event.target.closest('[data-url]');
      if (chosen) location.assign(chosen.dataset.url);
    });
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

  // ------------------------------------------------------------------------------------------------ labels and files

  function fold(details) {
    details.addEventListener('toggle', () => {
      if (details.open) $('input:not([type=hidden])', details)?.focus();
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

  // ------------------------------------------------------------------------------------------------ writing

  const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });

  /** Everything typed is in this browser at once, and on the server some seconds later; only then it leaves here. */
  function keepDraft(form) {
    const state = $('#af-state');
    const fields = () => ({ title: form.elements.title.value, body: form.elements.body.value, message: form.elements.message.value, version: Number(form.elements.version.value) });
    const same = (a, b) => a.title === b.title && a.body.replace(/\r\n/g, '\n') === b.body.replace(/\r\n/g, '\n');
    const key = `draft:${form.dataset.user}:${form.dataset.draft}`;
    let slot = key; // where this browser keeps it
    let held = Boolean($('#af-found')); // an older draft on the server waits for a decision: it is not overwritten
    let sent = fields(); // what the server has, as far as we know
    let waiting = 0;
    let sending = null;
    let failures = 0;
    let leaving = false;

    const tell = (text) => {
      if (state.textContent !== text) state.textContent = text;
    };
    const later = (ms) => {
      clearTimeout(waiting);
      waiting = setTimeout(send, ms);
    };
    const remember = (more = {}) => local.set(slot, { ...fields(), at: Date.now(), ...more });

    /** After signing in anew, in another tab, the form needs the new session's token: to save, too. */
    async function renewToken() {
      const answer = await fetch(location.href, { headers: { Accept: 'text/html' } }).catch(() => null);
      if (!answer?.ok || answer.redirected) return false;
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const token = $('#af-edit [name=csrf]', page)?.value;
      if (!token || token === form.elements.csrf.value) return false;
      form.elements.csrf.value = token;
      return true;
    }
    function unsent(status) {
      failures += 1;
      if (status === 401 || status === 403) tell('You are signed out: this is kept in this browser. Sign in in another tab, and go on here.');
      else if (status === 413) tell('Longer than a page may be: kept in this browser only.');
      else tell('Kept in this browser.');
      later(Math.min(30_000, 2_000 * 2 ** Math.min(failures, 4)));
    }
    async function send() {
      clearTimeout(waiting);
      if (leaving || sending) return;
      const now = fields();
      if (same(now, sent) && now.message === sent.message) return local.remove(slot);
      if (held) return tell('Kept in this browser. Decide above about your earlier draft first.');
      sending = new AbortController();
      const answer = await fetch(form.dataset.draft, {
        method: 'PUT',
        headers: { 'Content-Type': 'application/json', 'X-Requested-With': 'script', 'X-Csrf-Token': form.elements.csrf.value },
        body: JSON.stringify(now),
        signal: sending.signal,
      }).catch(() => null);
      sending = null;
      if (leaving) return;
      if (!answer?.ok) {
        if (answer?.status === 403 && (await renewToken())) return later(0);
        return unsent(answer?.status ?? 0);
      }
      const { savedAt } = await answer.json().catch(() => ({}));
      failures = 0;
      sent = now;
      if (same(fields(), now)) local.remove(slot);
      tell(`Draft saved at ${clock(savedAt ?? Date.now())}`);
      if (!same(fields(), now)) later(2_000);
    }

    form.addEventListener('input', () => {
      remember();
      later(failures ? 5_000 : 2_000);
    });
    addEventListener('online', () => later(0));
    addEventListener('focus', () => {
      if (failures) later(0);
    });
    addEventListener('pagehide', () => {
      const now = fields();
      if (leaving || held || (same(now, sent) && now.message === sent.message)) return;
      remember();
      // Browsers let go of up to 64 kB; more is in the browser's own store, and sent by the next visit.
      const body = JSON.stringify(now);
      if (body.length < 60_000)
        fetch(form.dataset.draft, { method: 'PUT', keepalive: true, headers: { 'Content-Type': 'application/json', 'X-Requested-With': 'script', 'X-Csrf-Token': form.elements.csrf.value }, body }).catch(() => {});
    });
    form.addEventListener('submit', (event) => {
      if (event.submitter?.hasAttribute('formaction')) return void remember();
      leaving = true;
      clearTimeout(waiting);
      sending?.abort();
      // Until the page is there it is not certain that it was saved; see forgetSaved().
      remember({ submitted: location.pathname });
    });
    addEventListener('pageshow', (event) => {
      if (event.persisted) leaving = false;
    });

    // What an earlier visit could not send.
    const left = local.get(key) ?? local.get(`${key}:2`);
    if (left && same(left, fields())) {
      local.remove(key);
      local.remove(`${key}:2`);
    } else if (left) {
      slot = `${key}:2`;
      const use = element('button', { type: 'button' }, 'Put it into the form');
      const drop = element('button', { type: 'button', class: 'quiet' }, 'Discard it');
      const when = new Date(left.at).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
      const offer = element('div', { class: 'notice draft-found', role: 'status' },
        element('p', {}, `This browser has kept what you typed on ${when}, which did not reach the server.`),
        element('div', { class: 'actions' }, use, drop));
      form.before(offer);
      const settle = () => {
        offer.remove();
        local.remove(key);
        slot = key;
        remember();
        local.remove(`${key}:2`);
      };
      use.addEventListener('click', () => {
        for (const name of ['title', 'body', 'message', 'version']) form.elements[name].value = left[name];
        // It is newer than the one on the server, which it replaces.
        $('#af-found')?.remove();
        held = false;
        settle();
        later(0);
        form.elements.body.focus();
      });
      drop.addEventListener('click', () => {
        settle();
        later(0);
      });
    }
    // A form that came back with an error or a preview has what was typed, and the server's draft may be older.
    if (!held && $('.notice-bad, .preview:not([hidden])')) {
      sent = { ...sent, body: '\u0000' };
      later(500);
    }
  }

  /** The page that a form has led to: what this browser kept of it has been saved. */
  function forgetSaved() {
    if (!$('article.wiki') || $('#af-edit') || !document.referrer) return;
    const from = new URL(document.referrer);
    if (from.origin !== location.origin) return;
    try {
      for (const key of Object.keys(localStorage))
        if (key.startsWith('draft:') && local.get(key)?.submitted === from.pathname) local.remove(key);
    } catch {
      /* no storage */
    }
  }

  function preview(form) {
    const button = $('#af-show');
    const section = $('#af-preview');
    const shown = $('article', section);
    const close = element('button', { type: 'button', class: 'quiet small' }, 'Close');
    $('.preview-head', section).append(close);
    let waiting = 0;
    let asked = null;
    const render = async () => {
      asked?.abort();
      asked = new AbortController();
      const { signal } = asked;
      const body = new URLSearchParams(new FormData(form));
      try {
        const html = await fragment(`${form.dataset.preview}?fragment=1`, { method: 'POST', body, signal });
        if (signal.aborted) return;
        if (html !== null) shown.innerHTML = html;
        else shown.replaceChildren(element('p', { class: 'notice notice-bad' }, 'The preview is not available just now. What you have typed is kept.'));
      } catch (error) {
        // Half a tag while somebody types is no news; the text that was sound stays.
        if (!signal.aborted && document.activeElement !== form.elements.body)
          shown.replaceChildren(element('p', { class: 'notice notice-bad' }, error.message));
      }
    };
    const set = (open) => {
      section.hidden = !open;
      form.classList.toggle('edit-split', open);
      button.hidden = open;
    };
    button.addEventListener('click', async (event) => {
      event.preventDefault();
      await render();
      set(true);
      section.focus({ preventScroll: false });
    });
    close.addEventListener('click', () => {
      set(false);
      form.elements.body.focus();
    });
    form.elements.body.addEventListener('input', () => {
      if (section.hidden) return;
      clearTimeout(waiting);
      waiting = setTimeout(render, 700);
    });
    set(!section.hidden);
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
  if (field) searchField(field);
  all('ul.tree').forEach(pageTree);
  const open = $('.side-open');
  if (open) sideButton(open);
  all('details.pop').forEach(fold);
  all('form.upload').forEach(uploadForm);
  const form = $('#af-edit');
  if (form) {
    keepDraft(form);
    preview(form);
    form.addEventListener('keydown', (event) => {
      if ((event.ctrlKey || event.metaKey) && (event.key === 's' || event.key === 'Enter')) {
        event.preventDefault();
        form.requestSubmit();
      }
    });
  } else {
    forgetSaved();
  }
})();
