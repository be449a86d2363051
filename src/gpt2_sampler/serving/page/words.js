/** What the page says, in English and in Chinese. Knows nothing else. */

export const ENGLISH = {
  model: "Model", actions: "Actions", undo: "Undo", redo: "Redo", branches: "Branches", texts: "Texts",
  share: "Share", help: "Help", writing: "Writing", text: "Text", close: "Close",
  hint: "Ctrl+Enter continues at the cursor, Escape stops, Tab suggests. Escape and then Tab leaves the text.",
  placeholder: "Begin a text, then let the model go on …",
  continue: "Continue", stop: "Stop", suggest: "Suggest", again: "Again",
  siblings: "Versions of this place", previous: "Previous version", next: "Next version",
  colours: "Colours", byRank: "rank", byProbability: "probability", byAuthor: "who wrote it", legend: "What the colours mean",
  paintMine: "Paint my text", you: "you", theModel: "the model",
  ranks: ["top 10", "top 100", "top 1,000", "beyond"], shares: ["10% or more", "1% or more", "0.1% or more", "less"],
  choicesAndSettings: "Choices and settings", choices: "Choices", goOn: "go on writing after a choice",
  heads: ["token", "model", "with settings"],
  nextToken: "The next token", noChoices: "Point at a token, or put the cursor where the text ends.",
  tokenAt: (token, share, rank, by) => `“${token}”: ${share}, rank ${rank}, by ${by}`,
  rest: (share) => `all others: ${share}`,
  settings: "Settings", more: "More", seed: "seed", newSeed: "New seed", stopText: "stop before",
  names: { temperature: "temperature", top_k: "top_k", top_p: "top_p", length: "length", min_p: "min_p",
    repetition_penalty: "repetition penalty", presence_penalty: "presence penalty",
    frequency_penalty: "frequency penalty", no_repeat_ngram: "no repeated n-gram" },
  about_: { temperature: "below 1 more predictable, above 1 wilder", top_k: "only the K likeliest; 0: all",
    top_p: "only the likeliest whose sum reaches P", length: "tokens", min_p: "as a share of the likeliest",
    repetition_penalty: "above 1: what is there already is less likely", presence_penalty: "", frequency_penalty: "",
    no_repeat_ngram: "never N tokens twice; 0: allowed" },
  suggestions: "Suggestions", preview: "The text of this version", jump: "Go there",
  newText: "New text", openFile: "Open a file", noTexts: "No other texts yet.", untitled: "(empty)", remove: "Delete",
  link: "A link to this text", command: "The same on a command line", copy: "Copy", copied: "copied",
  seeded: (seed, sample, model) => `Seed ${seed}, sample ${sample}, ${model}.`,
  saveText: "Save the text", saveTree: "Save the tree (JSON)",
  writes: "Writing …", stopped: "Stopped.", done: "Done.", ended: "The model ended the text here.",
  figures: (tokens, speed) => `${tokens} tokens, ${speed} a second`,
  seedIs: (seed, sample) => `seed ${seed}, sample ${sample}`,
  gone: "The server does not answer. Your text is kept.",
  key: "The server wants a key: open the address with #key=… that it printed.",
  forbidden: "The server does not take requests from this page.",
  busy: (wait) => `The server is busy.${wait ? ` Try again in ${wait} s.` : ""} Your text is kept.`,
  window: "The text is longer than the model can read.", onlyEnd: "Go on from its end",
  other: (message) => `The server says: ${message}`, tryAgain: "Try again",
  unsaved: "This browser keeps nothing. Save your text before you close the tab.",
  otherModel: (wanted, here) => `This link was made with ${wanted}; here is ${here}, which writes another text.`,
  noFile: "That is no text that this page can read.", nothingMore: "There is nothing more here.",
  unpainted: "This text cannot be painted.", reading: "Reading …", empty: "Write something first.",
  byYou: "you", byModel: "the model",
  keys: [["Ctrl+Enter", "continue at the cursor"], ["Esc", "stop"], ["Tab", "three suggestions; ↑ ↓ choose, Tab or Enter takes, → takes a word"],
    ["Ctrl+Shift+Enter", "again: another text for the same place"], ["Alt+← Alt+→", "the versions of a place"],
    ["Alt+Enter", "to the choices of the token at the cursor; Esc goes back"], ["Ctrl+Z Ctrl+Shift+Z", "undo and redo, everything"], ["Esc, then Tab", "leave the text"]],
  about: "The model goes on from your text. Every token it wrote shows what else it could have been: point at it, or put the cursor on it, and choose. Nothing is lost: whatever was replaced is a branch.",
};

/** @type {typeof ENGLISH} */
export const CHINESE = {
  model: "模型", actions: "操作", undo: "撤销", redo: "重做", branches: "分支", texts: "文稿",
  share: "分享", help: "帮助", writing: "写作", text: "正文", close: "关闭",
  hint: "Ctrl+Enter 从光标处续写，Esc 停止，Tab 给出建议。先按 Esc 再按 Tab 可离开正文。",
  placeholder: "写个开头，让模型接下去……",
  continue: "续写", stop: "停止", suggest: "建议", again: "换一个",
  siblings: "此处的各个版本", previous: "上一个版本", next: "下一个版本",
  colours: "着色", byRank: "按排名", byProbability: "按概率", byAuthor: "按作者", legend: "颜色的含义",
  paintMine: "为我写的着色", you: "你", theModel: "模型",
  ranks: ["前 10", "前 100", "前 1000", "更靠后"], shares: ["≥ 10%", "≥ 1%", "≥ 0.1%", "更低"],
  choicesAndSettings: "候选与设置", choices: "候选", goOn: "选定后继续写",
  heads: ["词元", "模型", "设置后"],
  nextToken: "下一个词元", noChoices: "指向一个词元，或把光标放到文末。",
  tokenAt: (token, share, rank, by) => `“${token}”：${share}，第 ${rank} 位，${by}所写`,
  rest: (share) => `其余合计：${share}`,
  settings: "设置", more: "更多", seed: "随机种子", newSeed: "换种子", stopText: "遇到即止",
  names: { temperature: "温度", top_k: "top_k", top_p: "top_p", length: "长度", min_p: "min_p",
    repetition_penalty: "重复惩罚", presence_penalty: "出现惩罚", frequency_penalty: "频率惩罚",
    no_repeat_ngram: "禁止重复 n 元组" },
  about_: { temperature: "低于 1 更稳妥，高于 1 更奔放", top_k: "只留最可能的 K 个；0 为全部",
    top_p: "只留概率之和达到 P 的最可能者", length: "词元数", min_p: "相对于最可能者的比例",
    repetition_penalty: "高于 1 时，已出现的更不易再现", presence_penalty: "", frequency_penalty: "",
    no_repeat_ngram: "N 个词元不出现两次；0 为不限" },
  suggestions: "建议", preview: "此版本的正文", jump: "回到这里",
  newText: "新文稿", openFile: "打开文件", noTexts: "还没有别的文稿。", untitled: "（空白）", remove: "删除",
  link: "指向这段文字的链接", command: "命令行写法", copy: "复制", copied: "已复制",
  seeded: (seed, sample, model) => `种子 ${seed}，样本 ${sample}，${model}。`,
  saveText: "保存正文", saveTree: "保存分支树（JSON）",
  writes: "正在写……", stopped: "已停止。", done: "写好了。", ended: "模型在此结束了全文。",
  figures: (tokens, speed) => `${tokens} 个词元，每秒 ${speed} 个`,
  seedIs: (seed, sample) => `种子 ${seed}，样本 ${sample}`,
  gone: "服务器没有应答。你的文字还在。",
  key: "服务器需要密钥：请打开它显示的带 #key=… 的地址。",
  forbidden: "服务器不接受来自此页面的请求。",
  busy: (wait) => `服务器正忙。${wait ? `请在 ${wait} 秒后再试。` : ""}你的文字还在。`,
  window: "文字超出了模型能读的长度。", onlyEnd: "只从末尾续写",
  other: (message) => `服务器说：${message}`, tryAgain: "再试一次",
  unsaved: "此浏览器不会保存任何内容。关闭标签页之前请先保存文字。",
  otherModel: (wanted, here) => `此链接出自 ${wanted}；这里是 ${here}，写出的文字会不同。`,
  noFile: "此页面读不了这个文件。", nothingMore: "这里没有更多了。",
  unpainted: "这段文字无法着色。", reading: "正在读……", empty: "请先写点什么。",
  byYou: "你", byModel: "模型",
  keys: [["Ctrl+Enter", "从光标处续写"], ["Esc", "停止"], ["Tab", "三条建议；↑ ↓ 选择，Tab 或 Enter 采用，→ 采用一个词"],
    ["Ctrl+Shift+Enter", "换一个：同一处的另一段文字"], ["Alt+← Alt+→", "同一处的各个版本"],
    ["Alt+Enter", "到光标处词元的候选；Esc 返回"], ["Ctrl+Z Ctrl+Shift+Z", "撤销与重做，无所不包"], ["Esc，再 Tab", "离开正文"]],
  about: "模型接着你的文字写。它写的每个词元都能看到本来还可能是什么：指向它，或把光标放上去，就能改选。什么都不会丢：被替换的都留作分支。",
};

export const chinese = /^zh\b/i.test(navigator.language);
export const words = chinese ? CHINESE : ENGLISH;

/** Puts the words into the elements that name them. */
export function translate(/** @type {ParentNode} */ root) {
  document.documentElement.lang = chinese ? "zh" : "en";
  for (const element of root.querySelectorAll("[data-word]"))
    element.textContent = words[/** @type {HTMLElement} */ (element).dataset.word ?? ""];
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-label]"))) {
    element.ariaLabel = words[element.dataset.label ?? ""];
    if (element.tagName === "BUTTON") element.title = element.ariaLabel ?? "";
  }
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-keys]")))
    element.title = `${element.ariaLabel ?? element.textContent} (${element.dataset.keys})`;
}
