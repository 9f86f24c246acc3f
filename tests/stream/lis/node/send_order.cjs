const { Client, Message } = require('node-hl7-client');
const client = new Client({ host: '127.0.0.1', version: '2.5.1' });
const conn = client.createConnection({ port: Number(process.argv[2]) }, async (res) => {
  const m = res.getMessage();
  console.log(JSON.stringify({ code: m.get('MSA.1').toString(), id: m.get('MSA.2').toString(), type: m.get('MSH.9').toString() }));
});
(async () => {
  const text = ['MSH|^~\\&|LAB||cytostream||20261127||OML^O33^OML_O33|N1|P|2.5.1', 'PID|||P-1||Ito^Anna||19700131', 'SPM|1|C-1||BLD', 'SAC||S26-1|C-1', 'ORC|NW|O-1', 'OBR|1|O-1||24318-8'].join('\r');
  const message = new Message({ text });
  await conn.sendMessage(message);
  setTimeout(async () => { await conn.close(); process.exit(0); }, 700);
})();
