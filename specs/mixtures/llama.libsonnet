// The pre-training data of LLaMA, Table 1 of the paper: shares of the tokens,
// epochs made in a run of 1.4T tokens, and size on disk. How the sources were
// cleaned is told beside each; llamac reads the cleaned text, one JSON object a
// line with the document in `text`, from the folders below, or wherever a spec
// says: sources('/data', tokens).
local table = [
  // Five dumps of 2017-2020 through CCNet: lines deduplicated, language
  // identified (English only), filtered by an n-gram model's perplexity, and
  // pages dropped that a linear classifier finds unlike Wikipedia's references.
  { name: 'commoncrawl', share: 0.67, epochs: 1.10, disk_gb:: 3300 },
  // The public C4: deduplicated, filtered by heuristics on punctuation and length.
  { name: 'c4', share: 0.15, epochs: 1.06, disk_gb:: 783 },
  // Google BigQuery's copy; Apache, BSD and MIT licences; filtered by length of
  // lines and share of letters, headers removed, exact duplicates dropped.
  { name: 'github', share: 0.045, epochs: 0.64, disk_gb:: 328, dedup: true },
  // Dumps of June to August 2022 in 20 languages; links, comments and
  // formatting removed.
  { name: 'wikipedia', share: 0.045, epochs: 2.45, disk_gb:: 83 },
  // Project Gutenberg and ThePile's Books3; books dropped that overlap by 90%.
  { name: 'books', share: 0.045, epochs: 2.23, disk_gb:: 85 },
  // LaTeX: all before the first section, the bibliography and comments removed,
  // macros expanded.
  { name: 'arxiv', share: 0.025, epochs: 1.06, disk_gb:: 92 },
  // The 28 largest sites; HTML tags removed, answers by score.
  { name: 'stackexchange', share: 0.02, epochs: 1.03, disk_gb:: 78 },
];

{
  table:: table,
  // The sources of a run over `tokens` tokens, under the folder `root`. The
  // shares are the same in every run, so the epochs go with the tokens.
  sources(tokens, root='data'):: [
    s {
      kind: 'jsonl',
      paths: [root + '/' + s.name + '/**/*.jsonl.zst', root + '/' + s.name + '/**/*.jsonl.gz'],
      field: 'text',
      epochs: super.epochs * tokens / 1.4e12,
    }
    for s in table
  ],
}
