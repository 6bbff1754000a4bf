// What a template prints follows the documentation of Go's text/template and fmt.
import t from "tap";
import type { CniError } from "../cni/error.ts";
import { parseTemplate, renderTemplate } from "./template.ts";

const value = {
  Name: "front",
  Internal: false,
  IPAM: {
    Driver: "default",
    Config: [
      { Subnet: "10.5.0.0/24", Gateway: "10.5.0.1" },
      { Subnet: "fd00::/64", Gateway: "fd00::1" },
    ],
  },
  Containers: { b2: { Name: "db" }, a1: { Name: "web" } },
  Labels: { tier: "web", "with.dot": "x" },
  Options: {},
};
const methods = { Named: (text: string) => `<${text}>` };
const rendered: [template: string, text: string][] = [
  ["", ""],
  ["plain", "plain"],
  ["{{.Name}}", "front"],
  ["{{ .Name }}/{{.Internal}}", "front/false"],
  ["{{.IPAM.Driver}}", "default"],
  ["{{range .IPAM.Config}}{{.Subnet}} {{end}}", "10.5.0.0/24 fd00::/64 "],
  ["{{range .Containers}}{{.Name}},{{end}}", "web,db,"],
  ["{{range $id, $c := .Containers}}{{$id}}={{$c.Name}} in {{$.Name}};{{end}}", "a1=web in front;b2=db in front;"],
  ["{{range $i, $c := .IPAM.Config}}{{$i}}{{end}}", "01"],
  ["{{range $c := .IPAM.Config}}{{$c.Gateway}} {{end}}", "10.5.0.1 fd00::1 "],
  ["{{range .Options}}x{{end}}", ""],
  ["{{(index .IPAM.Config 0).Gateway}}", "10.5.0.1"],
  ['{{index .Labels "with.dot"}}', "x"],
  ['{{index .Labels "nosuch"}}', ""],
  ["{{len .Containers}} {{len .IPAM.Config}} {{len .Name}}", "2 2 5"],
  ["{{json .Labels}}", '{"tier":"web","with.dot":"x"}'],
  ["{{.Labels | json}}", '{"tier":"web","with.dot":"x"}'],
  ["{{json .}}", JSON.stringify(value)],
  ["{{.Labels.nosuch}}", "<no value>"],
  ["{{.Options.nosuch.deeper}}", "<no value>"],
  ["{{.Labels}}", "map[tier:web with.dot:x]"],
  ["{{.IPAM.Config}}", "[map[Gateway:10.5.0.1 Subnet:10.5.0.0/24] map[Gateway:fd00::1 Subnet:fd00::/64]]"],
  ['{{.Name}}{{"\\t"}}x\\ty', "front\tx\ty"],
  ["{{upper .Name}} {{title .IPAM.Driver}} {{.Name | upper | lower}}", "FRONT Default front"],
  ['{{title "a-b c_d"}}', "A-B C_d"],
  ['{{split "a,b" ","}} {{join (split .IPAM.Driver "a") "-"}}', "[a b] def-ult"],
  ["{{range $k, $v := .Labels}}{{println $k $v}}{{end}}", "tier web\nwith.dot x\n"],
  ["{{pad .Name 1 2}}|{{truncate .Name 2}}|{{truncate .Name 9}}", " front  |fr|front"],
  ['{{.Named "tier"}}{{range .Containers}}{{.Named .Name}}{{end}}', "<tier><web><db>"],
  ["a {{- .Name -}} b", "afrontb"],
  ["{{range .Containers -}}  {{.Name}} {{- end}}", "webdb"],
  ["{{range .IPAM.Config}}{{range $.Containers}}{{.Name}}{{end}}{{end}}", "webdbwebdb"],
];
for (const [template, text] of rendered) {
  t.test(`--format '${template}'`, async (t) =>
    t.equal(renderTemplate(parseTemplate(template), value, { methods }), text),
  );
}

t.test("functions that change a text leave headings as they are", async (t) => {
  const template = parseTemplate(
    '{{upper .Name}} {{json .Name}} {{truncate .Name 1}} {{join .Name ","}} {{.Named "x"}}',
  );
  t.equal(renderTemplate(template, { Name: "Name" }, { methods, isHeading: true }), "Name Name Name Name <x>");
});

t.test("a field that a record need not have is printed as nothing", async (t) => {
  const document = { Containers: { a: { Name: "web", Process: 7 }, b: { Name: "db" } } };
  const template = parseTemplate("{{range .Containers}}{{.Name}} {{.Process}};{{end}}");
  t.equal(renderTemplate(template, document, { optional: ["Process"] }), "web 7;db ;");
  t.throws(() => renderTemplate(template, document), /field Process, which does not exist/);
});

const refused: [template: string, msg: RegExp, details?: RegExp][] = [
  ["{{.Nam}}", /\{\{\.Nam\}\} names the field Nam, which does not exist/, /did you mean Name/],
  ["{{.IPAM.Nosuch}}", /field Nosuch/, /Driver, Config/],
  ["{{if .Internal}}x{{end}}", /\{\{if \.Internal\}\} has "if", which is not supported/, /--json with jq/],
  ["{{with .IPAM}}x{{end}}", /"with"/],
  ['{{printf "%s" .Name}}', /"printf"/],
  ['{{template "x"}}', /"template"/],
  ["{{.Name", /\{\{ without \}\}/],
  ["{{range .IPAM.Config}}x", /has no \{\{end\}\}/],
  ["x{{end}}y", /\{\{end\}\} without \{\{range\}\}/],
  ["{{range .Name}}x{{end}}", /cannot go through "front"/],
  ["{{.Name.First}}", /field First of "front"/],
  ["{{}}", /empty/],
  ["{{$x}}", /\$x, which nothing sets/],
  ["{{index .IPAM.Config 9}}", /no element 9/],
  ["{{len 5}}", /len wrong arguments/, /write len LIST/],
  ["{{upper 5}}", /upper wrong arguments/, /write upper TEXT/],
  ["{{join .Name}}", /join wrong arguments/, /write join LIST SEPARATOR/],
  ['{{.Nosuch "x"}}', /gives \.Nosuch an argument, which is not supported/, /remove it/],
  ["{{(.Name}}", /\( without \)/],
  ["{{.Name.}}", /not supported/],
  ["{{.Name | .IPAM}}", /not supported/],
  ["{{.Name}} {{.Name .IPAM}}", /not supported/],
  ['{{"x}}', /not supported/],
];
for (const [template, msg, details = /./] of refused) {
  t.test(`--format '${template}' is refused`, async (t) => {
    t.throws(() => renderTemplate(parseTemplate(template), value), { code: 7, msg, details } as unknown as CniError);
  });
}
