"""What somebody who checks types strictly may write with the front door: mypy reads it (tests/test_packaging.py), nobody runs it."""

import clipforget as cf

clip = cf.load_clip()
task = cf.emoji_task(clip, target="turtle")
edit = cf.forget(clip, task, cf.Settings(rank=4))
again: cf.Edit = cf.Edit.load(edit.save("x"), clip)
there: bool = edit.save("x").exists()
rows: int = len(edit.evaluate().index)
words: str = edit.verdict()
size: int = cf.apply_patch(clip, "p").size
names: list[str] = cf.list_methods("*LoRA*") + cf.list_datasets()
