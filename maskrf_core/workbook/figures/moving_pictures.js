// Drop-downs, wipes and scrubbers over pictures that stand in the page. It loads, sends and stores nothing.
(() => {
  "use strict";
  const make = (name, parent, properties = {}) =>
    parent.appendChild(Object.assign(document.createElement(name), properties));
  const labelled = (row, text) => make("label", row, { textContent: `${text} ` });
  const slider = (row, text, max, value) =>
    make("input", labelled(row, text), { type: "range", min: 0, max, value });

  const fill = (select, options, chosen) => {
    const before = select.value;
    select.replaceChildren(...options.map((option) => new Option(option)));
    select.value = options.includes(before) ? before : chosen;
  };

  // A picture of one kind, in two layers, over its scale of colours.
  const panel = (row, { name, unit, shades }) => {
    const figure = make("figure", row);
    const caption = make("figcaption", figure);
    const stack = make("div", figure, { className: "stack" });
    const layers = ["right", "left"].map((side) => make("img", stack, { className: side }));
    const scale = make("div", figure, { className: "scale" });
    if (shades) make("img", scale, { src: `data:image/png;base64,${shades}`, alt: "" });
    const ends = make("div", scale, { className: "ends" });
    if (unit) make("div", scale, { textContent: unit });
    const draw = (sides, size, marks = []) => {
      stack.style.aspectRatio = `${size[0]} / ${size[1]}`;
      layers.slice(0, sides.length).forEach((layer, number) => {
        const [source, picture] = sides[number];
        layer.hidden = !picture;
        layer.alt = `${name} of ${source}`;
        if (picture) layer.src = `data:image/webp;base64,${picture}`;
      });
      layers[1].hidden ||= sides.length < 2;
      const unknown = sides.filter(([, picture]) => !picture).map(([source]) => source);
      caption.textContent = name + (unknown.length ? ` (not known: ${unknown[0]})` : "");
      ends.replaceChildren();
      marks.forEach((mark) => make("span", ends, { textContent: mark }));
    };
    return { name, stack, draw };
  };

  const compare = (box, { scenes, panels }) => {
    const row = make("div", box, { className: "row" });
    const [scene, view, left] = ["scene", "view", "left"].map((text) => make("select", labelled(row, text)));
    const wipe = slider(row, "wipe", 100, 50);
    const right = make("select", labelled(row, "right"));
    const pictures = make("div", box, { className: "row wipes" });
    const shown = panels.map((each) => panel(pictures, each));
    const move = () => box.style.setProperty("--wipe", `${wipe.value}%`);
    const draw = () => {
      const views = scenes[scene.value];
      fill(view, Object.keys(views), Object.keys(views)[0]);
      const { size, marks, sources } = views[view.value];
      const names = Object.keys(sources);
      fill(left, names, names[0]);
      fill(right, names, names[names.length - 1]);
      for (const { name, draw } of shown) {
        draw([right, left].map(({ value }) => [value, sources[value][name]]), size, marks[name]);
      }
    };
    fill(scene, Object.keys(scenes), Object.keys(scenes)[0]);
    [scene, view, left, right].forEach((select) => (select.onchange = draw));
    wipe.oninput = move;
    for (const { stack } of shown) {
      stack.onpointermove = stack.onpointerdown = (event) => {
        if (!event.buttons) return;
        event.preventDefault();
        const { left: start, width } = stack.getBoundingClientRect();
        wipe.value = (100 * (event.clientX - start)) / width;
        move();
      };
    }
    move();
    draw();
  };

  const scrub = (box, { frames, panels, size, marks, rate }) => {
    const row = make("div", box, { className: "row" });
    const play = make("button", row, { textContent: "play", type: "button" });
    const frame = slider(row, "frame", frames.length - 1, 0);
    const number = make("output", row);
    const pictures = make("div", box, { className: "row" });
    const shown = panels.map((each) => panel(pictures, each));
    let timer = null;
    const draw = () => {
      number.textContent = `${Number(frame.value) + 1} of ${frames.length}`;
      for (const { name, draw } of shown) draw([[`frame ${Number(frame.value) + 1}`, frames[frame.value][name]]], size, marks[name]);
    };
    const stop = () => {
      clearInterval(timer);
      timer = null;
      play.textContent = "play";
    };
    const step = () => {
      if (!box.isConnected) return stop();
      frame.value = (Number(frame.value) + 1) % frames.length;
      draw();
    };
    play.onclick = () => {
      if (timer) return stop();
      timer = setInterval(step, 1000 / rate);
      play.textContent = "stop";
    };
    frame.oninput = draw;
    draw();
  };

  for (const box of document.querySelectorAll(".maskrf-pictures:not([data-moves])")) {
    box.dataset.moves = "yes";
    const shown = JSON.parse(box.querySelector("script[type='application/json']").textContent);
    box.querySelector(".still").hidden = true;
    (shown.frames ? scrub : compare)(box, shown);
  }
})();
