"""Cell 13: evaluation. How good it is on videos that it has never seen, and where it fails.

第 13 格：模型评估。在从未见过的测试视频上的结果、曲线、最难的视频，以及对两段视频的判定示例。
"""

if "notebook" not in globals():
    raise SystemExit("Run cell 1 first (cell_01_imports_and_setup.py), then this one again.")
notebook.need(globals(), found=2, run=2)

results = notebook.read_results(run)
plots = sorted((run / "results" / "evaluation").glob("*.png"))
notebook.show(
    notebook.results_table(results),
    *map(notebook.Picture.read, plots),
    notebook.hardest_table(run / "results" / "test_predictions.csv"),
    *notebook.verdicts(found.path, run, run / "models" / "best_model.onnx"),
)
