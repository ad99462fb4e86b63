// Goes back once every frame has loaded or failed, and after three seconds whatever they do.
const back = () => location.replace(document.getElementById("continue").href);
addEventListener("load", back);
setTimeout(back, 3000);
