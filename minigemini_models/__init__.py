"""The models this project trains, and all that exists for them alone; `minigemini` finds it by entry points."""
