// Wheel, drag, pinch and keys: what a hand does becomes a call of the viewer's.
const NOTCH = 50, PAN = 40;

function setUpGestures(root, viewer) {
  const { stage, zoom, move, zoomed, fit, one } = viewer.stage;
  const touching = new Map();
  let pinched = 0, turned = 0;

  stage.addEventListener("wheel", (event) => {
    // A pinch on a trackpad has Ctrl. One picture alone leaves the wheel to the page until it is zoomed.
    if (event.ctrlKey || (!viewer.several() && zoomed())) {
      event.preventDefault();
      zoom(Math.exp(-event.deltaY / 300), event);
    } else if (viewer.several()) {
      event.preventDefault();
      const turn = event.deltaMode === 0 ? event.deltaY : event.deltaY * NOTCH;
      turned = Math.abs(turn) >= NOTCH ? Math.sign(turn) * NOTCH : turned + turn;
      if (Math.abs(turned) < NOTCH) return;
      viewer.step(Math.sign(turned));
      turned = 0;
    }
  }, { passive: false });

  stage.onpointerdown = (event) => {
    touching.set(event.pointerId, event);
    const drags = event.pointerType !== "touch" || zoomed() || touching.size === 2;
    if (drags) stage.setPointerCapture(event.pointerId);
    if (event.button === 1) event.preventDefault();  // no automatic scrolling
    pinched = 0;
  };
  stage.onpointermove = (event) => {
    const before = touching.get(event.pointerId);
    if (!before) return;
    touching.set(event.pointerId, event);
    const x = event.clientX - before.clientX, y = event.clientY - before.clientY;
    if (touching.size === 2) pinch();
    else if (event.pointerType === "touch" || event.shiftKey || event.buttons === 4 || !viewer.windowed()) move(x, y);
    else if (event.buttons === 1) viewer.drag(x, y);
  };
  function pinch() {
    const [a, b] = [...touching.values()];
    const apart = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    const middle = { clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2 };
    if (pinched) zoom(apart / pinched, middle);
    pinched = apart;
  }
  stage.onpointerup = stage.onpointercancel = (event) => {
    touching.delete(event.pointerId);
    pinched = 0;
    viewer.drop();
  };

  const pan = { ArrowLeft: [PAN, 0], ArrowRight: [-PAN, 0], ArrowUp: [0, PAN], ArrowDown: [0, -PAN] };
  const steps = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
  const keys = {
    "+": () => zoom(STEP), "=": () => zoom(STEP), "-": () => zoom(1 / STEP), 0: fit, 1: one,
    i: viewer.invert, b: viewer.toggleBoxes, f: viewer.full, p: viewer.play,
  };
  root.onkeydown = (event) => {
    if (event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey) return;
    const stepping = viewer.several() && !event.shiftKey && steps[event.key];
    const panning = zoomed() && pan[event.key];
    const does = stepping ? () => viewer.step(stepping)
      : panning ? () => move(...panning) : keys[event.key.toLowerCase()];
    if (!does) return;
    event.preventDefault();
    event.stopPropagation();
    does();
  };
}
