(() => {
  const player = document.currentScript.parentElement;
  const frames = JSON.parse(player.querySelector('script[type="application/json"]').textContent);
  const inputs = [...player.querySelectorAll("input")];
  const image = player.querySelector("img");
  const show = () => {
    let frame = 0; // the last input changes fastest
    for (const input of inputs) {
      const texts = JSON.parse(input.dataset.texts);
      frame = frame * texts.length + input.valueAsNumber;
      input.nextElementSibling.value = texts[input.valueAsNumber];
      input.setAttribute("aria-valuetext", texts[input.valueAsNumber]);
    }
    image.src = "data:image/png;base64," + frames[frame][0];
    player.querySelector(".lab-goal").innerHTML = frames[frame][1];
  };
  inputs.forEach((input) => input.addEventListener("input", show));
  show();
})();
