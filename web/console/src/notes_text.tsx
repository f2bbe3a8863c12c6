// Release notes as they are written: headings, lists, paragraphs, code, emphasis and links of Markdown. Whatever else
// stands in them is shown as text; nothing of it can become markup.
import type { ComponentChildren, VNode } from "preact";

function inline(text: string): ComponentChildren[] {
  const out: ComponentChildren[] = [];
  const pattern = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^\]]+)\]\((https?:\/\/[^)\s]+)\)/g;
  let last = 0;
  for (const match of text.matchAll(pattern)) {
    out.push(text.slice(last, match.index));
    if (match[1] !== undefined) out.push(<code>{match[1]}</code>);
    else if (match[2] !== undefined) out.push(<strong>{match[2]}</strong>);
    else if (match[3] !== undefined) out.push(<em>{match[3]}</em>);
    else
      out.push(
        <a href={match[5]} rel="noreferrer">
          {match[4]}
        </a>,
      );
    last = match.index + match[0].length;
  }
  out.push(text.slice(last));
  return out;
}

/** `level`: of the headings, below the page's own. */
export function NotesText({ text, level }: { text: string; level: 4 | 5 }) {
  const blocks: VNode[] = [];
  const lines = text.split("\n");
  let paragraph: string[] = [];
  let items: string[] = [];
  let code: string[] | null = null;
  const flush = () => {
    if (paragraph.length) blocks.push(<p>{inline(paragraph.join(" "))}</p>);
    if (items.length)
      blocks.push(
        <ul>
          {items.map((item, at) => (
            <li key={at}>{inline(item)}</li>
          ))}
        </ul>,
      );
    paragraph = [];
    items = [];
  };
  for (const line of lines) {
    if (line.startsWith("```")) {
      if (code) {
        blocks.push(<pre>{code.join("\n")}</pre>);
        code = null;
      } else {
        flush();
        code = [];
      }
      continue;
    }
    if (code) {
      code.push(line);
      continue;
    }
    const heading = /^(#{1,4})\s+(.*)$/.exec(line);
    const item = /^\s*[-*]\s+(.*)$/.exec(line);
    if (heading) {
      flush();
      // The first heading names the release, which the page does already.
      if (heading[1] === "#") continue;
      const Tag = `h${level}` as "h4" | "h5";
      blocks.push(<Tag>{inline(heading[2] ?? "")}</Tag>);
    } else if (item) {
      if (paragraph.length) flush();
      items.push(item[1] ?? "");
    } else if (line.trim() === "") flush();
    else if (items.length) items[items.length - 1] += ` ${line.trim()}`;
    else paragraph.push(line.trim());
  }
  if (code) blocks.push(<pre>{code.join("\n")}</pre>);
  flush();
  return <div class="notes-text">{blocks}</div>;
}
