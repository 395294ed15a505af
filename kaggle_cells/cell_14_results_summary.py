"""Cell 14: summary. The whole report, and every file to download.

第 14 格：结果总结。完整报告与可下载的全部文件。
"""

if "notebook" not in globals():
    raise SystemExit("Run cell 1 first (cell_01_imports_and_setup.py), then this one again.")
notebook.need(globals(), run=2)

results = notebook.read_results(run)
report = (run / "results" / "experiment_report.txt").read_text(encoding="utf-8")
notebook.show(
    report,
    notebook.Picture.read(run / "results" / "training_history.png"),
    notebook.files_of(run),
)
