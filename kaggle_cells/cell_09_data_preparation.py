"""Cell 9: data preparation. Every video becomes clips of faces, once; run it again to resume.

Files that cannot be read or show no face are listed with the reason and never stop the rest. Then
the splits are checked for leaks: equal files, nearly equal pictures, people in two splits.

第 9 格：数据准备。把全部视频裁成人脸片段（可中断续跑）；损坏或无人脸的文件会列出原因；
随后检查数据泄漏。
"""

if "notebook" not in globals():
    raise SystemExit("Run cell 1 first (cell_01_imports_and_setup.py), then this one again.")
notebook.need(globals(), found=2, settings=2, scratch=2)

prepared = unmask.prepare(
    found.path,
    scratch / notebook.store_name(found.path, settings.clip),
    clip=settings.clip,
    data_config=settings.data,
    seed=settings.loop.seed,
    workers=os.cpu_count() or 1,
)
store = ClipStore.open(prepared.store, settings.clip)
leaks = check_leaks(store)
records = [entry.record for entry in store.entries if entry.status == "ok"]
notebook.show(
    prepared.summary(),
    notebook.data_table(records, "Videos with clips"),
    notebook.leaks_table(leaks, settings.data.allow_leaks),
)
raise_on_leaks(leaks, settings.data.allow_leaks)
