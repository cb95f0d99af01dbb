"""What a larger run will take: rates measured on finished runs, times what there is to do."""
