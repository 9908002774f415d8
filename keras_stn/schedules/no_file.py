class NoFile:
    """In the place of a `ScheduleFile`, for a process that writes none."""

    last_step = None

    def begin(self, columns, step):
        pass

    def drop_after(self, step):
        pass

    def write(self, row):
        pass

    def sync(self):
        pass
