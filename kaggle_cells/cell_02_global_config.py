"""Cell 2: settings. **The only cell that you need to change.**

Where the videos are, and every setting that differs from the classic one (120 videos a class and
split, 16 frames, 160 px, 25 epochs, automatic batch size, mixed precision).

第 2 格：全局设置。**只需修改这一格。** base_path 为数据集文件夹（留空则自动查找），
overrides 为要改动的设置。
"""

if "notebook" not in globals():
    raise SystemExit("Run cell 1 first (cell_01_imports_and_setup.py), then this one again.")

base_path = None  # found by itself; or a folder, e.g. "/kaggle/input/my-videos"
overrides = [
    # "loop.epochs=5",
    # "clip.size_px=128",
    # "model.weights=random",
]

search = notebook.find_data(base_path)
found = notebook.choose_data(search)
settings = notebook.settings_from(overrides)
run = Path()  # ./models and ./results of the working folder
scratch = notebook.scratch_folder()
notebook.show(notebook.search_table(search), notebook.settings_table(settings))
