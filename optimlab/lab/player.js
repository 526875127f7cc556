// The static player: range inputs choose one of the prepared frames, a picture and a message each.
for (const player of document.querySelectorAll(".lab-player")) {
  const frames = player.querySelector(".lab-frames").children;
  const inputs = [...player.querySelectorAll("input")];
  const show = () => {
    let frame = 0; // the last input changes fastest
    for (const input of inputs) {
      const texts = JSON.parse(input.dataset.texts);
      frame = frame * texts.length + input.valueAsNumber;
      input.nextElementSibling.value = texts[input.valueAsNumber];
      input.setAttribute("aria-valuetext", texts[input.valueAsNumber]);
    }
    player.querySelector("img").src = "data:image/png;base64," + frames[frame].dataset.picture;
    player.querySelector(".lab-goal").innerHTML = frames[frame].innerHTML;
  };
  for (const input of inputs) input.addEventListener("input", show);
  show();
}
