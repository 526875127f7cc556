"use strict";
// The search: every section whose text has the query's words. Sections with the exact phrase come first. Chinese has no
// spaces, so a run of it is searched by pairs of neighbouring characters, a single character by itself.

const small = (text) => text.normalize("NFKC").toLowerCase();
const stopWords = new Set("a an and are at by for from how in is it of on or that the this to was what when where which why with".split(" "));

// the end of an English word may vary: diverges finds diverge and divergence
const stem = (word) => (/^[a-z]{4,}$/.test(word) ? word.replace(/(ations?|ing|ies|ed|es|s|e|y)$/, "") : word);

const terms = (query) => {
  const found = [];
  for (const run of small(query).match(/[\u3400-\u9fff]+|[^\s\u3400-\u9fff]+/g) ?? []) {
    if (/[\u3400-\u9fff]/.test(run)) {
      if (run.length === 1) found.push({ text: run });
      for (let i = 0; i + 2 <= run.length; i++) found.push({ text: run.slice(i, i + 2) });
    } else {
      const word = run.replace(/^[^\p{L}\p{N}_]+|[^\p{L}\p{N}_]+$/gu, "") || run;
      if (!stopWords.has(word)) found.push({ text: stem(word), start: true });
    }
  }
  return found;
};

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const pattern = (term) => new RegExp((term.start && /^[\p{L}\p{N}]/u.test(term.text) ? "(?<![\\p{L}\\p{N}])" : "") + escaped(term.text), "u");

const sections = window.bookTexts.map(([page, anchor, title, heading, text]) => ({
  page, anchor, title, heading, text, head: small(`${heading} ${heading === title ? "" : title}`), body: small(text),
}));

// {section, score, at}: the best first; at is where in the text the snippet begins
const search = (query) => {
  const phrase = small(query).trim().replace(/\s+/g, " ");
  const wanted = terms(query).map((term) => ({ ...term, pattern: pattern(term) }));
  if (!phrase || !wanted.length) return [];
  const chinese = wanted.filter((term) => !term.start).length;
  const results = [];
  for (const section of sections) {
    const inHead = section.head.includes(phrase);
    const inBody = section.body.split(phrase).length - 1;
    let score = (inHead ? 1000 : 0) + (small(section.heading) === phrase ? 2000 : 0) + (inBody ? 500 + Math.min(inBody, 20) : 0);
    let at = section.body.indexOf(phrase);
    let missing = 0, missingWords = 0;
    for (const term of wanted) {
      const head = term.pattern.test(section.head);
      const where = section.body.search(term.pattern);
      if (!head && where < 0) term.start ? missingWords++ : missing++;
      score += head ? 30 : where >= 0 ? 5 : 0;
      if (at < 0) at = where;
    }
    // a long Chinese question need not stand there letter by letter: two pairs in three are enough
    const enough = missingWords === 0 && (chinese < 3 ? missing === 0 : missing <= chinese / 3);
    if (inHead || inBody || enough) results.push({ section, score, at: Math.max(at, 0) });
  }
  return results.sort((a, b) => b.score - a.score);
};

const marked = (text, query) => {
  const phrase = escaped(query.trim()).replace(/\s+/g, "\\s+");
  const words = terms(query).map((term) => escaped(term.text));
  const line = document.createElement("p");
  for (const piece of text.split(new RegExp(`(${[phrase, ...words].filter(Boolean).join("|")})`, "iu"))) {
    const hit = piece && new RegExp(`^(${[phrase, ...words].join("|")})$`, "iu").test(piece);
    const node = hit ? document.createElement("mark") : document.createTextNode(piece);
    if (hit) node.textContent = piece;
    line.append(node);
  }
  return line;
};

const show = (query) => {
  const list = document.getElementById("book-results");
  const found = document.getElementById("book-found");
  const all = search(query);
  const results = all.slice(0, 40);
  list.replaceChildren();
  const said = all.length > results.length ? found.dataset.many : all.length ? found.dataset.found : found.dataset.nothing;
  found.textContent = query.trim() ? said.replace("{n}", all.length).replace("{shown}", results.length).replace("{query}", () => query.trim()) : "";
  for (const { section, at } of results) {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = `${section.page}.html${section.anchor ? `#${encodeURIComponent(section.anchor)}` : ""}`;
    link.textContent = section.heading || section.title;
    item.append(link);
    if (section.heading && section.heading !== section.title) {
      const where = document.createElement("span");
      where.className = "book-where";
      where.textContent = section.title;
      item.append(where);
    }
    const from = Math.max(0, at - 40);
    if (section.text) item.append(marked((from ? "…" : "") + section.text.slice(from, from + 180) + (from + 180 < section.text.length ? "…" : ""), query));
    list.append(item);
  }
};

const input = document.getElementById("book-query");
input.value = new URLSearchParams(location.search).get("q") ?? "";
input.form.addEventListener("submit", (event) => event.preventDefault());
input.addEventListener("input", () => {
  history.replaceState(null, "", `${location.pathname}?q=${encodeURIComponent(input.value)}`);
  show(input.value);
});
show(input.value);
input.focus();
