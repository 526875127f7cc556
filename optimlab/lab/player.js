// Loaded by the pages of the book. The static player: range inputs choose one of the prepared frames:
// what moves, over one of the backgrounds, and a message.
for (const player of document.querySelectorAll(".lab-player")) {
  const frames = player.querySelector(".lab-frames").children;
  const backs = [...player.querySelectorAll(".lab-back")];
  const inputs = [...player.querySelectorAll("input")];
  const show = () => {
    let frame = 0; // the last input changes fastest
    for (const input of inputs) {
      const texts = JSON.parse(input.dataset.texts);
      frame = frame * texts.length + input.valueAsNumber;
      input.nextElementSibling.value = texts[input.valueAsNumber];
      input.setAttribute("aria-valuetext", texts[input.valueAsNumber]);
    }
    for (const [i, back] of backs.entries()) back.hidden = i !== Number(frames[frame].dataset.back);
    player.querySelector(".lab-front").src = frames[frame].dataset.picture;
    player.querySelector(".lab-goal").innerHTML = frames[frame].innerHTML;
  };
  for (const input of inputs) input.addEventListener("input", show);
  show();
  const fetchAll = () => {
    for (const frame of frames) new Image().src = frame.dataset.picture; // before they are wanted
  };
  for (const kind of ["pointerenter", "focusin"]) player.addEventListener(kind, fetchAll, { once: true });
}

// Predict, then see: what was computed stays covered until the reader has guessed, or asks to see it without.
const verdicts = [...document.querySelectorAll(".lab-verdict")];
for (const question of document.querySelectorAll(".lab-predict[data-guess]")) {
  const verdict = verdicts.find((verdict) => verdict.dataset.guess === question.dataset.guess);
  if (!verdict) continue;
  const between = (node) => question.compareDocumentPosition(node) & 4 && !(verdict.compareDocumentPosition(node) & 4);
  const covered = [...document.querySelectorAll(".cell_output")].filter((node) => between(node) || node.contains(verdict));
  const skip = document.createElement("button");
  skip.className = "lab-skip";
  skip.textContent = document.body.dataset.skip;
  verdict.closest(".cell_output").before(skip);
  for (const node of covered) node.classList.add("lab-covered");
  const show = (choice) => {
    for (const node of covered) node.classList.remove("lab-covered");
    skip.remove();
    const kind = choice === null ? "none" : choice === verdict.dataset.answer ? "right" : "wrong";
    for (const one of verdict.children) one.hidden = one.dataset.case !== kind;
    for (const words of verdict.querySelectorAll('[data-case="wrong"] [lang]')) {
      words.dataset.text ??= words.textContent;
      words.textContent = words.dataset.text.replace("…", choice);
    }
  };
  skip.addEventListener("click", () => show(null));
  for (const button of question.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      for (const other of question.querySelectorAll("button")) other.setAttribute("aria-pressed", other === button);
      show(button.textContent);
    });
  }
}
