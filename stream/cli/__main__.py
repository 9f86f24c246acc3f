from .app import run_command

run_command()
