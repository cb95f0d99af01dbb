# Copyright 2019
def tide(hour):
    return hour % 12
