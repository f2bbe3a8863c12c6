'use strict';
// The edit form, which works without this script: drafts, preview beside the text, and buttons that write the markup.
(() => {
  const { $, all, element, local, fragment, searchField } = afloat;

  const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });

  /** Everything typed is in this browser at once, and on the server some seconds later; only then it leaves here. */
  function keepDraft(form) {
    const state = $('#af-state');
    const fields = () => ({ title: form.elements.title.value, body: form.elements.body.value, message: form.elements.message.value, version: Number(form.elements.version.value) });
    const same = (a, b) => a.title === b.title && a.body.replace(/\r\n/g, '\n') === b.body.replace(/\r\n/g, '\n');
    const { user, drafts } = form.dataset;
    // Each opened form has a draft of its own, here and on the server.
    const slotOf = (word) => `draft:${user}:${drafts}#${word}`;
    const slot = () => slotOf(form.elements.form.value);
    const url = () => `${drafts}${drafts.includes('?') ? '&' : '?'}form=${form.elements.form.value}`;
    const found = (word) => all('form.draft-found').find((offer) => offer.dataset.form === word);
    let sent = fields(); // what the server has, as far as we know
    let waiting = 0;
    let sending = null;
    let failures = 0;
    let leaving = false;
    let room = true; // in this browser's store

    const tell = (text) => {
      if (state.textContent !== text) state.textContent = text;
    };
    const later = (ms) => {
      clearTimeout(waiting);
      waiting = setTimeout(send, ms);
    };
    const remember = (more = {}) => (room = local.set(slot(), { ...fields(), at: Date.now(), ...more }));

    /** After signing in anew, in another tab, the form needs the new session's token: to save, too. */
    async function renewToken() {
      const answer = await fetch(form.action).catch(() => null);
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
      else tell(room ? 'Kept in this browser.' : 'Not kept yet: leave this page open, it is sent as soon as possible.');
      later(Math.min(30_000, 2_000 * 2 ** Math.min(failures, 4)));
    }
    async function send() {
      clearTimeout(waiting);
      if (leaving || sending) return;
      const now = fields();
      if (same(now, sent) && now.message === sent.message) return local.remove(slot());
      sending = new AbortController();
      const answer = await fetch(url(), {
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
      if (same(fields(), now)) local.remove(slot());
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
      if (leaving || (same(now, sent) && now.message === sent.message)) return;
      remember();
      // Browsers let go of up to 64 kB; more is in the browser's own store, and sent by the next visit.
      const body = JSON.stringify(now);
      if (body.length < 60_000)
        fetch(url(), { method: 'PUT', keepalive: true, headers: { 'Content-Type': 'application/json', 'X-Requested-With': 'script', 'X-Csrf-Token': form.elements.csrf.value }, body }).catch(() => {});
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

    /** What was sent as an earlier visit ended may have arrived: then it is offered once, as the server's draft. */
    async function arrived(word, left) {
      const link = found(word)?.querySelector('a');
      const answer = link && (await fetch(link.href).catch(() => null));
      if (!answer?.ok) return false;
      const there = $('#af-edit', new DOMParser().parseFromString(await answer.text(), 'text/html'));
      return Boolean(there) && same(left, { title: there.elements.title.value, body: there.elements.body.value });
    }
    async function offer(word, left) {
      if (await arrived(word, left)) return local.remove(slotOf(word));
      const use = element('button', { type: 'button' }, 'Put it into the form');
      const drop = element('button', { type: 'button', class: 'quiet' }, 'Discard it');
      const when = new Date(left.at).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
      const notice = element('div', { class: 'notice draft-found', role: 'status' },
        element('p', {}, `This browser has kept what you typed on ${when}, which did not reach the server.`),
        element('div', { class: 'actions' }, use, drop));
      use.addEventListener('click', () => {
        notice.remove();
        // It is newer than the one on the server, which it replaces; what is in the form keeps its own draft.
        found(word)?.remove();
        form.elements.form.value = word;
        for (const name of ['title', 'body', 'message', 'version']) form.elements[name].value = left[name];
        sent = { ...sent, body: '\u0000' };
        remember();
        later(0);
        form.elements.body.focus();
      });
      drop.addEventListener('click', () => {
        notice.remove();
        local.remove(slotOf(word));
      });
      form.before(notice);
    }
    // What earlier visits could not send.
    for (const key of local.keys(slotOf(''))) {
      let word = key.slice(slotOf('').length);
      const left = local.get(key);
      if (!left || same(left, fields())) {
        local.remove(key);
        continue;
      }
      if (key === slot()) {
        // The form goes on with that draft: what is typed now would take its place here.
        word += 'b';
        local.set(slotOf(word), left);
        local.remove(key);
      }
      offer(word, left);
    }
    // A form that came back with an error or a preview has what was typed, and the server's draft may be older.
    if ($('.notice-bad, .preview:not([hidden])')) {
      sent = { ...sent, body: '\u0000' };
      later(500);
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
        if (html !== null) {
          shown.innerHTML = html;
          // Nor is the text refused any more; that of a conflict, which has a link, still stands.
          $('.notice-bad:not(:has(a))')?.remove();
        } else shown.replaceChildren(element('p', { class: 'notice notice-bad' }, 'The preview is not available just now. What you have typed is kept.'));
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

  /** Buttons that write the markup of the storage format around what is selected. */
  function toolbar(form) {
    const area = form.elements.body;
    const bar = $('#af-tools');
    const escaped = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;');
    /** What is selected, or the sample in its place, is selected afterwards. The browser's undo knows of it. */
    const write = (before, text, after) => {
      const at = area.selectionStart;
      area.focus();
      if (!document.execCommand('insertText', false, before + text + after)) {
        area.setRangeText(before + text + after);
        area.dispatchEvent(new Event('input', { bubbles: true }));
      }
      area.setSelectionRange(at + before.length, at + before.length + text.length);
    };
    const chosen = (sample) => area.value.slice(area.selectionStart, area.selectionEnd) || sample;
    const lines = (sample) => chosen(sample).split('\n').filter((line) => line.trim());
    const around = (tag, sample) => () => write(`<${tag}>`, chosen(sample), `</${tag}>`);
    const list = (tag) => () => write(`<${tag}>\n`, lines('item').map((line) => `<li>${line}</li>`).join('\n'), `\n</${tag}>\n`);
    const macro = (name, body) => [`<ac:structured-macro ac:name="${name}"><ac:${body}>`, `</ac:${body}></ac:structured-macro>\n`];
    const kinds = [
      ['B', 'Bold (Ctrl+B)', around('strong', 'bold'), 'b'],
      ['I', 'Italic (Ctrl+I)', around('em', 'italic'), 'i'],
      ['H2', 'Heading', around('h2', 'Heading')],
      ['H3', 'Smaller heading', around('h3', 'Heading')],
      ['• List', 'List', list('ul')],
      ['1. List', 'Numbered list', list('ol')],
      ['Table', 'Table', () => write('<table><tbody>\n<tr><th>', chosen('Head'), '</th><th>Head</th></tr>\n<tr><td>cell</td><td>cell</td></tr>\n</tbody></table>\n')],
      ['Code', 'Block of code', () => {
        const [before, after] = macro('code', 'plain-text-body');
        write(`${before}<![CDATA[`, chosen('code'), `]]>${after}`);
      }],
      ['Note', 'Note', () => {
        const [before, after] = macro('note', 'rich-text-body');
        write(`${before}<p>`, chosen('note'), `</p>${after}`);
      }],
      ['Image', 'Image: a file of this page', () => write('<ac:image><ri:attachment ri:filename="', chosen('picture.png'), '"/></ac:image>')],
      ['Web link', 'Link to an address', () => write('<a href="https://', 'example.org', '">text</a>')],
    ];
    for (const [text, title, act, key] of kinds) {
      const button = element('button', { type: 'button', class: 'quiet small', title, 'aria-label': title }, text);
      button.addEventListener('click', act);
      bar.append(button);
      if (!key) continue;
      area.addEventListener('keydown', (event) => {
        if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key === key) {
          event.preventDefault();
          act();
        }
      });
    }

    // A link to a page is found by its title.
    const field = element('input', { id: 'af-link', type: 'search', placeholder: 'Link to a page: its title', 'aria-label': 'Link to a page', autocomplete: 'off' });
    bar.append(element('span', { class: 'tool-link' }, field));
    searchField(field, (page) => {
      const space = page.space?.key && page.space.key !== form.dataset.space ? ` ri:space-key="${escaped(page.space.key)}"` : '';
      field.value = '';
      field.blur();
      const words = area.value.slice(area.selectionStart, area.selectionEnd);
      const body = words ? ['<ac:link-body>', words, '</ac:link-body>'] : ['', '', ''];
      write(`<ac:link><ri:page${space} ri:content-title="${escaped(page.title)}"/>${body[0]}`, body[1], `${body[2]}</ac:link>`);
    });
    field.addEventListener('keydown', (event) => {
      // Enter without a choice is not meant to save the page.
      if (event.key === 'Enter') event.preventDefault();
    });
  }

  const form = $('#af-edit');
  keepDraft(form);
  preview(form);
  toolbar(form);
  form.addEventListener('keydown', (event) => {
    if ((event.ctrlKey || event.metaKey) && (event.key === 's' || event.key === 'Enter')) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
})();
