import "./style.css";
import { render } from "preact";
render(<h1>Hello</h1>, document.getElementById("console")!);
